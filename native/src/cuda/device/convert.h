// bf16 and its conversion, rounding to nearest even.
#pragma once

#include <cstdint>

namespace headspark::cuda {

struct Bf16 {
  std::uint16_t bits;
};

HEADSPARK_DEVICE float bits_to_float(std::uint32_t bits) {
  return __uint_as_float(bits);
}
HEADSPARK_DEVICE std::uint32_t float_to_bits(float value) {
  return __float_as_uint(value);
}
HEADSPARK_DEVICE float bf16_to_float(Bf16 value) {
  return __uint_as_float(static_cast<std::uint32_t>(value.bits) << 16);
}
/// Two bf16 in one register: `low` in bits 0 … 15.
HEADSPARK_DEVICE std::uint32_t pack_bf16(float low, float high) {
  std::uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
HEADSPARK_DEVICE Bf16 float_to_bf16(float value) {
  std::uint16_t bits;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return {bits};
}
HEADSPARK_DEVICE float half_to_float(std::uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}

}  // namespace headspark::cuda
