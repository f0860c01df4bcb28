// What single instructions of PTX do (ptx/machine.h), beside the host's own arithmetic.
#include <doctest/doctest.h>

#include <cfenv>
#include <random>

#include "cuda_emulation/ptx/machine.h"

namespace headspark {
namespace {

using namespace cuda_emulation::ptx;

float rounded_down(float a, float b, float c) {
  std::fesetround(FE_DOWNWARD);
  volatile float left = a;  // so that it is computed here and now
  const volatile float result = std::fma(left, b, c);
  std::fesetround(FE_TONEAREST);
  return result;
}

TEST_CASE("ptx: a fused multiply-add rounds down as the host's does") {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> numbers(-4.0f, 4.0f);
  for (int i = 0; i < 20000; ++i) {
    const float a = numbers(random);
    const float b = std::ldexp(numbers(random), i % 60 - 30);
    const float c = numbers(random);
    CHECK(std::bit_cast<std::uint32_t>(fused_down(a, b, c)) ==
          std::bit_cast<std::uint32_t>(rounded_down(a, b, c)));
  }
  // As expf has it: the sum is a number of 1.5 * 2^23, whose last bits are wanted.
  CHECK(fused_down(1.9999999f, 252.0f, 12582913.0f) ==
        rounded_down(1.9999999f, 252.0f, 12582913.0f));
}

TEST_CASE("ptx: approximate instructions are off by what the ISA allows") {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> numbers(-126.0f, 126.0f);
  int different = 0;
  for (int i = 0; i < 20000; ++i) {
    const float x = numbers(random);
    const double power = std::exp2(static_cast<double>(x));
    CHECK(std::fabs(quick_exp2(x) - power) <= 0x1p-22 * power);
    const double inverse = 1.0 / static_cast<double>(x);
    CHECK(std::fabs(quick_inverse(x) - inverse) <= 0x1p-22 * std::fabs(inverse));
    different += quick_exp2(x) != static_cast<float>(power);
  }
  CHECK(different > 10000);
  CHECK(quick_exp2(3.0f) == 8.0f);
  CHECK(quick_exp2(-127.0f) == 0.0f);
  CHECK(quick_exp2(-std::numeric_limits<float>::infinity()) == 0.0f);
  CHECK(quick_inverse(0.25f) == 4.0f);
  CHECK(quick_inverse(0x1p-127f) == std::numeric_limits<float>::infinity());
  CHECK(std::fabs(quick_inverse(3.0) * 3.0 - 1.0) <= 0x1p-19);
}

TEST_CASE("ptx: shifts past the width, bits put into others, halves of a whole") {
  CHECK(shifted_left(1u, 31) == 0x80000000u);
  CHECK(shifted_left(1u, 32) == 0u);
  CHECK(shifted_right(0x80000000u, 40) == 0u);
  CHECK(shifted_right(std::int32_t{-8}, 40) == -1);
  CHECK(shifted_right(std::int32_t{-8}, 1) == -4);
  CHECK(insert_bits(0xffu, 0u, 4, 4) == 0xf0u);
  CHECK(insert_bits(0u, ~0u, 8, 8) == 0xffff00ffu);
  CHECK(insert_bits(5u, 7u, 0, 32) == 5u);
  CHECK(insert_bits(5u, 7u, 0, 0) == 7u);
  std::uint64_t whole = 0;
  join(whole, 0x11111111u, 0x22222222u);
  CHECK(whole == 0x2222222211111111ull);
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  part(low, high, whole);
  CHECK(low == 0x11111111u);
  CHECK(high == 0x22222222u);
}

TEST_CASE("ptx: values in registers of another width") {
  std::uint64_t wide = 0;
  put(wide, std::int32_t{-2});
  CHECK(wide == 0xfffffffffffffffeull);
  put(wide, std::uint32_t{0xfffffffeu});
  CHECK(wide == 0xfffffffeull);
  CHECK(as<std::int32_t>(0xfffffffeu) == -2);
  CHECK(as<std::uint8_t>(0x1ffu) == 0xff);
  CHECK(as<float>(0x3f800000u) == 1.0f);
  CHECK(larger(-0.0f, 0.0f) == 0.0f);
  CHECK(!std::signbit(larger(-0.0f, 0.0f)));
  CHECK(std::signbit(smaller(0.0f, -0.0f)));
  CHECK(larger(std::nanf(""), 2.0f) == 2.0f);
  CHECK(saturated(std::nanf("")) == 0.0f);
  CHECK(saturated(1.5f) == 1.0f);
  CHECK(towards_zero(-1.9f) == -1);
  CHECK(towards_zero(3e9f) == 2147483647);
  CHECK(towards_zero(std::nan("")) == 0);
}

}  // namespace
}  // namespace headspark
