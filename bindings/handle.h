// Native objects that JavaScript holds: a plain object that wraps a T and carries T's type tag, so
// that nothing else (another kind of handle, a clone from another thread) is taken for it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "headspark/error.h"
#include "napi.h"

namespace headspark::bindings {

// T has `static constexpr napi_type_tag type_tag` and `static constexpr const char* noun`. It is
// deleted when the object is collected or its environment ends.
template <typename T>
Napi::Object wrap_handle(Napi::Env env, std::unique_ptr<T> native) {
  Napi::Object object = Napi::Object::New(env);
  NAPI_THROW_IF_FAILED(env, napi_type_tag_object(env, object, &T::type_tag), Napi::Object());
  const napi_status wrapped = napi_wrap(
      env, object, native.get(), [](napi_env, void* data, void*) { delete static_cast<T*>(data); },
      nullptr, nullptr);
  NAPI_THROW_IF_FAILED(env, wrapped, Napi::Object());
  native.release();
  return object;
}

// Throws INVALID_ARGUMENT when `value` is not a handle of this kind made in this environment.
template <typename T>
T& unwrap_handle(Napi::Env env, const Napi::Value& value, const std::string& function) {
  bool ours = false;
  void* native = nullptr;
  if (value.IsObject() && napi_check_object_type_tag(env, value, &T::type_tag, &ours) == napi_ok &&
      ours && napi_unwrap(env, value, &native) == napi_ok) {
    return *static_cast<T*>(native);
  }
  throw Error(ErrorCode::INVALID_ARGUMENT,
              function + " takes the handle of a " + T::noun + " that this thread loaded.");
}

}  // namespace headspark::bindings
