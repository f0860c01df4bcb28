// Functions of the device's mathematical library, in full precision (no -use_fast_math), and the
// fused multiply-add by name.
#pragma once

#include <cstdint>

namespace headspark::cuda {

HEADSPARK_DEVICE float exponential(float x) {
  return expf(x);
}
/// 2^x in one instruction: off by at most 2^-22 of it, and 0 where it is below the normal floats.
HEADSPARK_DEVICE float quick_power_of_two(float x) {
  float value;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
  return value;
}
HEADSPARK_DEVICE float logarithm(float x) {
  return logf(x);
}
/// erfc(x) = 1 - erf(x), without the cancellation.
HEADSPARK_DEVICE float complementary_error_function(float x) {
  return erfcf(x);
}
HEADSPARK_DEVICE double logarithm(double x) {
  return log(x);
}
HEADSPARK_DEVICE double exponential(double x) {
  return exp(x);
}
HEADSPARK_DEVICE bool is_finite(float x) {
  return (__float_as_uint(x) & 0x7f800000u) != 0x7f800000u;
}
HEADSPARK_DEVICE float square_root(float x) {
  return sqrtf(x);
}
HEADSPARK_DEVICE double square_root(double x) {
  return sqrt(x);
}
/// 1 / x in one instruction: off by one place at most, and 0 where it is below the normal floats.
HEADSPARK_DEVICE float quick_reciprocal(float x) {
  float value;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(x));
  return value;
}
/// The number where the other is NaN.
HEADSPARK_DEVICE float larger_number(float a, float b) {
  return fmaxf(a, b);
}
HEADSPARK_DEVICE float absolute(float x) {
  return fabsf(x);
}
HEADSPARK_DEVICE float multiply_add(float a, float b, float c) {
  return __fmaf_rn(a, b, c);
}
/// a * b rounded by itself: never merged with an addition that follows. Where a kernel goes on with
/// a value that another one stores, this keeps their bits equal.
HEADSPARK_DEVICE float rounded_product(float a, float b) {
  return __fmul_rn(a, b);
}
HEADSPARK_DEVICE float infinity() {
  return __uint_as_float(0x7f800000u);
}
HEADSPARK_DEVICE std::uint32_t multiply_high(std::uint32_t a, std::uint32_t b) {
  return __umulhi(a, b);
}

}  // namespace headspark::cuda
