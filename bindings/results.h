// Native arrays handed to JavaScript as typed arrays, without a copy where the runtime allows
// memory that it did not allocate (Node does, Electron does not).
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/host_array.h"
#include "napi.h"

namespace headspark::bindings {

// JavaScript thread only. The memory is freed when the array is collected.
Napi::Value to_float32_array(Napi::Env env, std::vector<float>&& values);
Napi::Value to_float32_array(Napi::Env env, HostArray<float>&& values);
Napi::Value to_int32_array(Napi::Env env, std::vector<std::int32_t>&& values);
Napi::Value to_uint8_array(Napi::Env env, std::vector<std::uint8_t>&& values);

}  // namespace headspark::bindings
