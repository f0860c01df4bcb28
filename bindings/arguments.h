// Reads the fields of an options object with their types and ranges checked, so that no wrong value
// from JavaScript reaches the core. TypeScript has validated meaning; this guards memory safety.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "napi.h"

namespace headspark::bindings {

class Arguments {
 public:
  // `function` names the function in messages. Throws INVALID_ARGUMENT unless value is an object.
  Arguments(const Napi::Value& value, std::string function);

  // Each throws INVALID_ARGUMENT, naming the function and the field, when the field is missing or
  // of the wrong type or outside [low, high].
  bool has(const char* field) const;  // present and neither undefined nor null
  std::int64_t integer(const char* field, std::int64_t low, std::int64_t high) const;
  double number(const char* field) const;  // finite
  bool boolean(const char* field) const;
  std::string string(const char* field) const;
  Napi::Value value(const char* field) const;  // undefined when missing

  // Copies of typed arrays; the element type must match exactly.
  std::vector<std::int32_t> int32s(const char* field) const;
  std::vector<float> float32s(const char* field) const;
  std::vector<double> float64s(const char* field) const;
  std::vector<std::uint8_t> uint8s(const char* field) const;

  // The memory of typed arrays itself: for synchronous work only.
  std::span<float> float32_view(const char* field) const;
  std::span<double> float64_view(const char* field) const;
  std::span<std::uint8_t> uint8_view(const char* field) const;
  std::span<const std::uint32_t> uint32_view(const char* field) const;

 private:
  template <typename T>
  std::span<T> view(const char* field, napi_typedarray_type type, const char* name) const;
  template <typename T>
  std::vector<T> typed_array(const char* field, napi_typedarray_type type, const char* name) const;
  [[noreturn]] void reject(const char* field, const std::string& expected) const;

  Napi::Object object_;
  std::string function_;
};

}  // namespace headspark::bindings
