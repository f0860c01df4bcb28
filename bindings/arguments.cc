// Checked reading of option objects.
#include "arguments.h"

#include <cmath>
#include <utility>

#include "headspark/error.h"

namespace headspark::bindings {

Arguments::Arguments(const Napi::Value& value, std::string function)
    : function_(std::move(function)) {
  if (!value.IsObject()) {
    throw Error(ErrorCode::INVALID_ARGUMENT, function_ + " takes an options object.");
  }
  object_ = value.As<Napi::Object>();
}

void Arguments::reject(const char* field, const std::string& expected) const {
  throw Error(ErrorCode::INVALID_ARGUMENT,
              function_ + ": '" + field + "' must be " + expected + ".");
}

Napi::Value Arguments::value(const char* field) const {
  return object_.Get(field);
}

bool Arguments::has(const char* field) const {
  const Napi::Value found = value(field);
  return !found.IsUndefined() && !found.IsNull();
}

std::int64_t Arguments::integer(const char* field, std::int64_t low, std::int64_t high) const {
  const Napi::Value found = value(field);
  const double number = found.IsNumber() ? found.As<Napi::Number>().DoubleValue() : std::nan("");
  const bool inside = number >= static_cast<double>(low) && number <= static_cast<double>(high);
  if (!inside || std::floor(number) != number) {
    reject(field, "an integer from " + std::to_string(low) + " to " + std::to_string(high));
  }
  return static_cast<std::int64_t>(number);
}

double Arguments::number(const char* field) const {
  const Napi::Value found = value(field);
  const double number = found.IsNumber() ? found.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!std::isfinite(number)) reject(field, "a finite number");
  return number;
}

bool Arguments::boolean(const char* field) const {
  const Napi::Value found = value(field);
  if (!found.IsBoolean()) reject(field, "true or false");
  return found.As<Napi::Boolean>().Value();
}

std::string Arguments::string(const char* field) const {
  const Napi::Value found = value(field);
  if (!found.IsString()) reject(field, "a string");
  return found.As<Napi::String>().Utf8Value();
}

template <typename T>
std::span<T> Arguments::view(const char* field, napi_typedarray_type type, const char* name) const {
  const Napi::Value found = value(field);
  if (!found.IsTypedArray() || found.As<Napi::TypedArray>().TypedArrayType() != type) {
    reject(field, std::string("a ") + name);
  }
  auto array = found.As<Napi::TypedArrayOf<T>>();
  return {array.Data(), array.ElementLength()};
}

template <typename T>
std::vector<T> Arguments::typed_array(const char* field, napi_typedarray_type type,
                                      const char* name) const {
  const std::span<T> array = view<T>(field, type, name);
  return {array.begin(), array.end()};
}

std::vector<std::int32_t> Arguments::int32s(const char* field) const {
  return typed_array<std::int32_t>(field, napi_int32_array, "Int32Array");
}

std::vector<float> Arguments::float32s(const char* field) const {
  return typed_array<float>(field, napi_float32_array, "Float32Array");
}

std::vector<double> Arguments::float64s(const char* field) const {
  return typed_array<double>(field, napi_float64_array, "Float64Array");
}

std::vector<std::uint8_t> Arguments::uint8s(const char* field) const {
  return typed_array<std::uint8_t>(field, napi_uint8_array, "Uint8Array");
}

std::span<float> Arguments::float32_view(const char* field) const {
  return view<float>(field, napi_float32_array, "Float32Array");
}

std::span<double> Arguments::float64_view(const char* field) const {
  return view<double>(field, napi_float64_array, "Float64Array");
}

std::span<std::uint8_t> Arguments::uint8_view(const char* field) const {
  return view<std::uint8_t>(field, napi_uint8_array, "Uint8Array");
}

std::span<const std::uint32_t> Arguments::uint32_view(const char* field) const {
  return view<std::uint32_t>(field, napi_uint32_array, "Uint32Array");
}

}  // namespace headspark::bindings
