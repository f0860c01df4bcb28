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

/// fp32 panels into `Terms` terms, [term][panel][padded depth / 2][16][2].
template <int Terms>
static void split_panels_into(const SplitPanels& p) {
  const std::int64_t depth = padded_depth(p.depth);
  const std::int64_t panel = depth * 16;
  for (std::int64_t n = 0; n < p.count; ++n) {
    const float* source = p.panels + n * p.panel_stride;
    for (std::int64_t k = 0; k < depth; k += 2) {
      std::uint16_t terms[2][Terms][16] = {};
      for (int odd = 0; odd < 2; ++odd) {
        if (k + odd < p.depth) split_terms<Terms, 16>(source + (k + odd) * 16, terms[odd]);
      }
      for (int t = 0; t < Terms; ++t) {
        std::uint16_t* out = p.out + (t * p.count + n) * panel + k * 16;
        for (int j = 0; j < 16; ++j) {
          out[2 * j] = terms[0][t][j];
          out[2 * j + 1] = terms[1][t][j];
        }
      }
    }
  }
}

}  // namespace headspark
