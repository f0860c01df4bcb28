// fp32 rows as two fp16 terms times a power of two: x 2^e = t0 + t1 holds 23 to 24 bits of every
// value that is not far below its row's largest, since each term holds 11 and the second carries a
// sign of its own. fp16 has few exponents, so e puts the largest value of a row just below 2^15;
// what is lost of small values lies 2^-40 below the largest. A bf16 weight is one such term: 8
// bits. Plain code; the same bits on every level. All of it is static: see bf16_terms.h.
#pragma once

#include <cstdint>

#include "cpu/kernel_table.h"

namespace headspark {

static inline std::uint32_t float_bits(float x) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

static inline float bits_float(std::uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, sizeof x);
  return x;
}

/// x rounded to fp16 (to nearest, ties to even), as VCVTPS2PH does. A NaN stays one.
static inline std::uint16_t round_to_fp16(float x) {
  const std::uint32_t bits = float_bits(x);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t size = bits & 0x7fffffffu;
  std::uint32_t rounded;
  if (size > 0x7f800000u) {
    rounded = 0x7e00u | (size >> 13 & 0x1ffu);
  } else if (size >= 0x477ff000u) {  // 65520: halfway to what would be the next number
    rounded = 0x7c00u;
  } else if (size < 0x38800000u) {  // below 2^-14: whole multiples of 2^-24, the last bit of 0.5
    rounded = float_bits(bits_float(size) + 0.5f) - float_bits(0.5f);
  } else {
    rounded = (size + 0xfffu + (size >> 13 & 1u) - 0x38000000u) >> 13;
  }
  return static_cast<std::uint16_t>(sign | rounded);
}

static inline float fp16_value(std::uint16_t half) {
  const std::uint32_t sign = (half & 0x8000u) << 16;
  const std::uint32_t size = half & 0x7fffu;
  const float value =
      size >= 0x7c00u ? bits_float(0x7f800000u | (size & 0x3ffu) << 13)
                      : bits_float(size << 13) * 0x1p112f;  // exponents of fp16 to those of fp32
  return bits_float(float_bits(value) | sign);
}

/// The power of two that brings a row's largest magnitude to [2^14, 2^15), and its inverse. At most
/// 2^126, so that the inverse is a normal number, and less where what the row is multiplied by is
/// 2 or more, so that both together stay finite: times infinity a row of zeros would be NaNs.
struct RowPower {
  float power = 1.0f;
  float inverse = 1.0f;
};
static inline RowPower row_power(float largest, float factor = 1.0f) {
  const std::uint32_t exponent = float_bits(largest) >> 23 & 0xffu;  // biased by 127
  const std::uint32_t of_factor = float_bits(factor) >> 23 & 0xffu;
  const std::uint32_t most = of_factor > 127u ? 253u - (of_factor - 127u) : 253u;
  const std::uint32_t wanted = 268u - exponent < most ? 268u - exponent : most;
  return {bits_float(wanted << 23), bits_float((254u - wanted) << 23)};
}

/// As PlainTerms of bf16_terms.h; fp16_terms_avx512.h has the vector twin.
struct PlainFp16Terms {
  static constexpr PanelLayout layout = PanelLayout::fp16_pairs;

  /// The largest magnitude; NaNs do not count.
  static float largest(const float* x, std::int64_t count) {
    float most = 0.0f;
    for (std::int64_t i = 0; i < count; ++i) {
      const float size = bits_float(float_bits(x[i]) & 0x7fffffffu);
      if (size > most) most = size;
    }
    return most;
  }

  template <int Terms>
  static void split(float rest, std::uint16_t (&terms)[Terms]) {
    for (int t = 0; t < Terms; ++t) {
      terms[t] = round_to_fp16(rest);
      rest -= fp16_value(terms[t]);  // exact: both share their leading bits
    }
  }

  /// out[t * stride + i] = term t of scale * x[i], i < 32.
  template <int Terms>
  static void row(const float* x, float scale, std::uint16_t* out, std::int64_t stride) {
    for (int i = 0; i < 32; ++i) {
      std::uint16_t terms[Terms];
      split<Terms>(scale * x[i], terms);
      for (int t = 0; t < Terms; ++t) out[t * stride + i] = terms[t];
    }
  }

  /// out[t * stride + 2 j + odd] = term t of scale * x[odd][j], j < 16.
  template <int Terms>
  static void pairs(const float* even, const float* odd, float scale, std::uint16_t* out,
                    std::int64_t stride) {
    for (int j = 0; j < 16; ++j) {
      std::uint16_t terms[2][Terms];
      split<Terms>(scale * even[j], terms[0]);
      split<Terms>(scale * odd[j], terms[1]);
      for (int t = 0; t < Terms; ++t) {
        out[t * stride + 2 * j] = terms[0][t];
        out[t * stride + 2 * j + 1] = terms[1][t];
      }
    }
  }

  /// out[j] = (from null: 0, else from[j]) + sums[j] column row, j < 16. Both factors are powers of
  /// two, applied one after the other: their product alone may leave fp32's range.
  static void add_row(const float* sums, float column, float row, const float* from, float* out) {
    for (int j = 0; j < 16; ++j) {
      const float sum = sums[j] * column * row;
      out[j] = from != nullptr ? from[j] + sum : sum;
    }
  }
};

}  // namespace headspark
