// The passes of fp16_terms.h by AVX-512's conversions.
#pragma once

#include <immintrin.h>

#include "cpu/kernels/fp16_terms.h"

namespace headspark {

struct Avx512Fp16Terms {
  static constexpr PanelLayout layout = PanelLayout::fp16_pairs;

  static float largest(const float* x, std::int64_t count) {
    __m512 most = _mm512_setzero_ps();
    std::int64_t i = 0;
    // The new value comes first: of a NaN and a number VMAXPS takes the second.
    for (; i + 16 <= count; i += 16)
      most = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + i)), most);
    if (i < count) {
      const auto mask = static_cast<__mmask16>((1u << (count - i)) - 1u);
      most = _mm512_max_ps(_mm512_abs_ps(_mm512_maskz_loadu_ps(mask, x + i)), most);
    }
    return _mm512_reduce_max_ps(most);
  }

  static __m256i round(__m512 x) {
    return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  static __m512i join(__m256i low, __m256i high) {
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
  }

  /// As PlainFp16Terms::row.
  template <int Terms>
  static void row(const float* x, float scale, std::uint16_t* out, std::int64_t stride) {
    const __m512 factor = _mm512_set1_ps(scale);
    __m512 low = _mm512_mul_ps(factor, _mm512_loadu_ps(x));
    __m512 high = _mm512_mul_ps(factor, _mm512_loadu_ps(x + 16));
#pragma GCC unroll 2
    for (int t = 0; t < Terms; ++t) {
      const __m256i low_term = round(low);
      const __m256i high_term = round(high);
      _mm512_storeu_si512(out + t * stride, join(low_term, high_term));
      if (t + 1 == Terms) break;
      low = _mm512_sub_ps(low, _mm512_cvtph_ps(low_term));
      high = _mm512_sub_ps(high, _mm512_cvtph_ps(high_term));
    }
  }

  /// As PlainFp16Terms::pairs.
  template <int Terms>
  static void pairs(const float* even, const float* odd, float scale, std::uint16_t* out,
                    std::int64_t stride) {
    const __m512i interleave =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512 factor = _mm512_set1_ps(scale);
    __m512 low = _mm512_mul_ps(factor, _mm512_loadu_ps(even));
    __m512 high = _mm512_mul_ps(factor, _mm512_loadu_ps(odd));
#pragma GCC unroll 2
    for (int t = 0; t < Terms; ++t) {
      const __m256i low_term = round(low);
      const __m256i high_term = round(high);
      _mm512_storeu_si512(out + t * stride,
                          _mm512_permutexvar_epi16(interleave, join(low_term, high_term)));
      if (t + 1 == Terms) break;
      low = _mm512_sub_ps(low, _mm512_cvtph_ps(low_term));
      high = _mm512_sub_ps(high, _mm512_cvtph_ps(high_term));
    }
  }

  /// As PlainFp16Terms::add_row.
  static void add_row(const float* sums, float column, float row, const float* from, float* out) {
    const __m512 scaled = _mm512_mul_ps(_mm512_mul_ps(_mm512_load_ps(sums), _mm512_set1_ps(column)),
                                        _mm512_set1_ps(row));
    _mm512_storeu_ps(out, from != nullptr ? _mm512_add_ps(_mm512_loadu_ps(from), scaled) : scaled);
  }
};

}  // namespace headspark
