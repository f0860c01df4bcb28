// fp32 values as sums of bf16 terms: x = t0 + t1 + t2 holds all 24 bits, t0 alone is x rounded to
// nearest even. Plain code that compilers vectorise; the same bits on every level. All of it is
// static: each level keeps the copy that was compiled with its flags.
#pragma once

#include <cstdint>

#include "cpu/kernel_table.h"

namespace headspark {

/// The bits of x rounded to bf16 (to nearest, ties to even), as the upper half of an fp32. A NaN
/// stays one: the rounding carry must not turn it into a number.
static inline std::uint32_t round_to_bf16(std::uint32_t bits) {
  const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
  const std::uint32_t chosen = (bits & 0x7fffffffu) > 0x7f800000u ? bits | 0x400000u : rounded;
  return chosen & 0xffff0000u;
}

/// terms[t][i] for `Terms` terms of `Count` values.
template <int Terms, int Count>
static inline void split_terms(const float* x, std::uint16_t (&terms)[Terms][Count]) {
  float rest[Count];
  for (int i = 0; i < Count; ++i) rest[i] = x[i];
  for (int t = 0; t < Terms; ++t) {
    for (int i = 0; i < Count; ++i) {
      std::uint32_t bits;
      __builtin_memcpy(&bits, &rest[i], sizeof bits);
      const std::uint32_t term = round_to_bf16(bits);
      float value;
      __builtin_memcpy(&value, &term, sizeof value);
      terms[t][i] = static_cast<std::uint16_t>(term >> 16);
      rest[i] -= value;  // exact: both share their leading bits
    }
  }
}

/// How rows of A and depth pairs of B are split; bf16_terms_avx512.h has the vector twin.
struct PlainTerms {
  static constexpr PanelLayout layout = PanelLayout::pairs;

  /// out[t * stride + i] = term t of scale * x[i], i < 32.
  template <int Terms>
  static void row(const float* x, float scale, std::uint16_t* out, std::int64_t stride) {
    float scaled[32];
    for (int i = 0; i < 32; ++i) scaled[i] = scale * x[i];
    std::uint16_t terms[Terms][32];
    split_terms<Terms, 32>(scaled, terms);
    for (int t = 0; t < Terms; ++t) __builtin_memcpy(out + t * stride, terms[t], sizeof terms[t]);
  }

  /// out[t * stride + 2 j + odd] = term t of scale * x[odd][j], j < 16.
  template <int Terms>
  static void pairs(const float* even, const float* odd, float scale, std::uint16_t* out,
                    std::int64_t stride) {
    float scaled[2][16];
    for (int j = 0; j < 16; ++j) {
      scaled[0][j] = scale * even[j];
      scaled[1][j] = scale * odd[j];
    }
    std::uint16_t terms[2][Terms][16];
    split_terms<Terms, 16>(scaled[0], terms[0]);
    split_terms<Terms, 16>(scaled[1], terms[1]);
    for (int t = 0; t < Terms; ++t) {
      for (int j = 0; j < 16; ++j) {
        out[t * stride + 2 * j] = terms[0][t][j];
        out[t * stride + 2 * j + 1] = terms[1][t][j];
      }
    }
  }
};

}  // namespace headspark
