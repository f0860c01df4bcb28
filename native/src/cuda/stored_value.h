// One element of a stored weight as fp32, exactly; and of rows that are floats or bf16.
#pragma once

#include "cuda/cuda_language.h"
#include "headspark/dtype.h"

namespace headspark::cuda {

HEADSPARK_DEVICE float stored_value(const void* data, DType dtype, std::int64_t index) {
  if (dtype == DType::f32) return static_cast<const float*>(data)[index];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(data)[index];
  return dtype == DType::bf16 ? bf16_to_float(Bf16{bits}) : half_to_float(bits);
}

/// Rounds to bf16 where that is what lies in the floats' room.
HEADSPARK_DEVICE void store_value(float* room, DType type, std::int64_t index, float value) {
  if (type == DType::f32) {
    room[index] = value;
  } else {
    reinterpret_cast<std::uint16_t*>(room)[index] = float_to_bf16(value).bits;
  }
}

}  // namespace headspark::cuda
