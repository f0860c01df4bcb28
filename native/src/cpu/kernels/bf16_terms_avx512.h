// Splitting into bf16 terms by AVX-512's conversions. They round as round_to_bf16 does, but make
// zeros of denormals; so do the products that read the terms, and no bit of a product differs.
#pragma once

#include <immintrin.h>

#include "cpu/kernels/bf16_terms.h"

namespace headspark {

struct Avx512Terms {
  static constexpr PanelLayout layout = PanelLayout::pairs;

  static __m512 widen(__m256i halves) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }

  /// As PlainTerms::row.
  template <int Terms>
  static void row(const float* x, float scale, std::uint16_t* out, std::int64_t stride) {
    const __m512 factor = _mm512_set1_ps(scale);
    __m512 low = _mm512_mul_ps(factor, _mm512_loadu_ps(x));
    __m512 high = _mm512_mul_ps(factor, _mm512_loadu_ps(x + 16));
#pragma GCC unroll 3
    for (int t = 0; t < Terms; ++t) {
      const auto halves = (__m512i)_mm512_cvtne2ps_pbh(high, low);
      _mm512_storeu_si512(out + t * stride, halves);
      if (t + 1 == Terms) break;
      low = _mm512_sub_ps(low, widen(_mm512_castsi512_si256(halves)));
      high = _mm512_sub_ps(high, widen(_mm512_extracti64x4_epi64(halves, 1)));
    }
  }

  /// As PlainTerms::pairs.
  template <int Terms>
  static void pairs(const float* even, const float* odd, float scale, std::uint16_t* out,
                    std::int64_t stride) {
    const __m512 factor = _mm512_set1_ps(scale);
    const __m512i interleave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i upper = _mm512_set1_epi32(-65536);
    __m512 low = _mm512_mul_ps(factor, _mm512_loadu_ps(even));
    __m512 high = _mm512_mul_ps(factor, _mm512_loadu_ps(odd));
#pragma GCC unroll 3
    for (int t = 0; t < Terms; ++t) {
      const auto halves = (__m512i)_mm512_cvtne2ps_pbh(high, low);
      const __m512i side_by_side = _mm512_permutexvar_epi16(interleave, halves);
      _mm512_storeu_si512(out + t * stride, side_by_side);
      if (t + 1 == Terms) break;
      low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_slli_epi32(side_by_side, 16)));
      high = _mm512_sub_ps(high, _mm512_castsi512_ps(_mm512_and_si512(side_by_side, upper)));
    }
  }
};

}  // namespace headspark
