// Native arrays to typed arrays.
#include "results.h"

#include <cstring>
#include <memory>
#include <utility>

namespace headspark::bindings {
namespace {

// Array: std::vector or HostArray.
template <typename Array>
Napi::ArrayBuffer to_array_buffer(Napi::Env env, Array&& values) {
  const std::size_t bytes = values.size() * sizeof(*values.data());
  if (bytes == 0) return Napi::ArrayBuffer::New(env, 0);
  auto kept = std::make_unique<Array>(std::move(values));
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, kept->data(), bytes,
      [](napi_env, void*, void* hint) { delete static_cast<Array*>(hint); }, kept.get(), &buffer);
  if (status == napi_ok) {
    kept.release();  // the buffer's finalizer owns it now
    return Napi::ArrayBuffer(env, buffer);
  }
  // napi_no_external_buffers_allowed: a runtime with a memory cage, such as Electron.
  Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, bytes);
  std::memcpy(copy.Data(), kept->data(), bytes);
  return copy;
}

template <typename T, typename Array>
Napi::Value to_typed_array(Napi::Env env, Array&& values) {
  const std::size_t count = values.size();
  return Napi::TypedArrayOf<T>::New(env, count, to_array_buffer(env, std::move(values)), 0);
}

}  // namespace

Napi::Value to_float32_array(Napi::Env env, std::vector<float>&& values) {
  return to_typed_array<float>(env, std::move(values));
}

Napi::Value to_float32_array(Napi::Env env, HostArray<float>&& values) {
  return to_typed_array<float>(env, std::move(values));
}

Napi::Value to_int32_array(Napi::Env env, std::vector<std::int32_t>&& values) {
  return to_typed_array<std::int32_t>(env, std::move(values));
}

Napi::Value to_uint8_array(Napi::Env env, std::vector<std::uint8_t>&& values) {
  return to_typed_array<std::uint8_t>(env, std::move(values));
}

}  // namespace headspark::bindings
