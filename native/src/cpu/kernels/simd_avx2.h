// Eight fp32 lanes of AVX2 with fused multiply-add.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace headspark::avx2 {

struct Simd {
  static constexpr int width = 8;
  static constexpr int tile_rows = 6;  // 12 accumulators, 2 of B, 2 of A: all 16 registers
  static constexpr int tile_panels = 1;
  static constexpr int row_panels = 4;    // 8 chains per row hide the latency of the multiply-add
  static constexpr int expand_rows = 13;  // below, pairs are expanded in registers
  static constexpr int contraction_columns = 4;  // 12 sums, 3 of delta, 1 of a gradient
  using F = __m256;
  using Mask = __m256;

  static F set(float x) { return _mm256_set1_ps(x); }
  static void stream(float* p, F v) { _mm256_stream_ps(p, v); }
  static void fence() { _mm_sfence(); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F v) { _mm256_storeu_ps(p, v); }
  static __m256i first(std::int64_t count) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lanes);
  }
  static F load_part(const float* p, std::int64_t count, float fill) {
    const __m256i mask = first(count);
    return _mm256_blendv_ps(set(fill), _mm256_maskload_ps(p, mask), _mm256_castsi256_ps(mask));
  }
  static void store_part(float* p, std::int64_t count, F v) {
    _mm256_maskstore_ps(p, first(count), v);
  }
  static F load_bf16(const std::uint16_t* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
  static void load_pairs(const std::uint16_t* p, F& even, F& odd) {
    const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    even = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
    odd = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-65536)));
  }
  // gcc would rather load a value again for each of its uses; loads are what runs short.
  static F in_register(F v) {
    __asm__("" : "+x"(v));
    return v;
  }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  // The second operand when one is NaN.
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static Mask less(F a, F b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
  static F select(Mask mask, F a, F b) { return _mm256_blendv_ps(b, a, mask); }
  static F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // 2^n for integral n in [-126, 127].
  static F exp2_integral(F n) {
    const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
  }
  // a 2^n for integral n, in two steps: n may be 128.
  static F scale(F a, F n) {
    const F half = round(mul(n, set(0.5f)));
    return mul(mul(a, exp2_integral(half)), exp2_integral(sub(n, half)));
  }
  static F reciprocal(F a) { return div(set(1.0f), a); }
  static float sum(F v) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
  }
  static float largest(F v) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    s = _mm_max_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
  }
  // 8 x 8: out[c * stride + r] = rows[r][k + c].
  static constexpr int transpose_width = 8;
  static constexpr int transpose_depths = 8;
  static void transpose(const float* const* rows, std::int64_t k, float* out, std::int64_t stride) {
    F low[4], high[4];  // unpacked pairs of rows
    for (int i = 0; i < 4; ++i) {
      const F a = load(rows[2 * i] + k);
      const F b = load(rows[2 * i + 1] + k);
      low[i] = _mm256_unpacklo_ps(a, b);
      high[i] = _mm256_unpackhi_ps(a, b);
    }
    F quad[8];  // four rows of columns c and c + 4
    for (int i = 0; i < 2; ++i) {
      quad[4 * i + 0] = _mm256_shuffle_ps(low[2 * i], low[2 * i + 1], 0x44);
      quad[4 * i + 1] = _mm256_shuffle_ps(low[2 * i], low[2 * i + 1], 0xee);
      quad[4 * i + 2] = _mm256_shuffle_ps(high[2 * i], high[2 * i + 1], 0x44);
      quad[4 * i + 3] = _mm256_shuffle_ps(high[2 * i], high[2 * i + 1], 0xee);
    }
    for (int c = 0; c < 4; ++c) {
      store(out + c * stride, _mm256_permute2f128_ps(quad[c], quad[4 + c], 0x20));
      store(out + (c + 4) * stride, _mm256_permute2f128_ps(quad[c], quad[4 + c], 0x31));
    }
  }
};

}  // namespace headspark::avx2
