// Storage types of checkpoint tensors and their exact conversions to fp32.
// Activations are always fp32; only weights are stored in a narrower type.
#pragma once

#include <cstdint>
#include <cstring>

namespace headspark {

enum class DType : std::uint8_t { f32, f16, bf16 };

constexpr std::int64_t dtype_bytes(DType dtype) {
  return dtype == DType::f32 ? 4 : 2;
}

/// Floats whose room `count` values of `dtype` take.
constexpr std::int64_t floats_for(std::int64_t count, DType dtype) {
  return dtype == DType::f32 ? count : (count + 1) / 2;
}

/// Element `index`, even, of values of `dtype` that lie in the room of floats.
template <typename Float>
constexpr Float* element_in(Float* room, std::int64_t index, DType dtype) {
  return room + index * dtype_bytes(dtype) / static_cast<std::int64_t>(sizeof(float));
}

inline float bits_to_f32(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline std::uint32_t f32_to_bits(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float bf16_to_f32(std::uint16_t bits) {
  return bits_to_f32(static_cast<std::uint32_t>(bits) << 16);
}

/// IEEE 754 binary16 to binary32, subnormals, infinities and NaN included; exact.
inline float f16_to_f32(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1fu;
  const std::uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1f) return bits_to_f32(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return bits_to_f32(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
  return sign != 0 ? -magnitude : magnitude;
}

/// Round to nearest even; NaN stays NaN.
inline std::uint16_t f32_to_bf16(float value) {
  const std::uint32_t bits = f32_to_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

}  // namespace headspark
