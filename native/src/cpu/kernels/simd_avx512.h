// Sixteen fp32 lanes of AVX-512.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace headspark::avx512 {

struct Simd {
  static constexpr int width = 16;
  static constexpr int tile_rows = 12;  // 24 accumulators of 32 registers
  static constexpr int tile_panels = 2;
  static constexpr int row_panels = 8;  // 8 chains per row hide the latency of the multiply-add
  static constexpr int expand_rows = 1 << 30;    // never: a pair costs one shift and one mask
  static constexpr int contraction_columns = 7;  // 21 sums, 3 of delta, 1 of a gradient
  using F = __m512;
  using Mask = __mmask16;

  static F set(float x) { return _mm512_set1_ps(x); }
  static void stream(float* p, F v) { _mm512_stream_ps(p, v); }
  static void fence() { _mm_sfence(); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static Mask first(std::int64_t count) { return static_cast<Mask>((1u << count) - 1); }
  static F load_part(const float* p, std::int64_t count, float fill) {
    return _mm512_mask_loadu_ps(set(fill), first(count), p);
  }
  static void store_part(float* p, std::int64_t count, F v) {
    _mm512_mask_storeu_ps(p, first(count), v);
  }
  static F load_bf16(const std::uint16_t* p) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
  // Sixteen pairs of neighbouring depths: the low halves are the even depth.
  static void load_pairs(const std::uint16_t* p, F& even, F& odd) {
    const __m512i pairs = _mm512_loadu_si512(p);
    even = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    odd = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
  }
  // gcc would rather load a value again for each of its uses; loads are what runs short.
  static F in_register(F v) {
    __asm__("" : "+v"(v));
    return v;
  }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  // The second operand when one is NaN.
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static Mask less(F a, F b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
  static F select(Mask mask, F a, F b) { return _mm512_mask_blend_ps(mask, b, a); }
  static F abs(F a) {
    return _mm512_castsi512_ps(
        _mm512_and_si512(_mm512_castps_si512(a), _mm512_set1_epi32(0x7fffffff)));
  }
  static F round(F a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  // a 2^n for integral n.
  static F scale(F a, F n) { return _mm512_scalef_ps(a, n); }
  // 1 / a for a in [1, 2], within a unit in the last place: an estimate of 14 bits and one step of
  // Newton's, a third of a division's time.
  static F reciprocal(F a) {
    const F estimate = _mm512_rcp14_ps(a);
    return fma(estimate, _mm512_fnmadd_ps(a, estimate, set(1.0f)), estimate);
  }
  static float sum(F v) {
    const __m256 low = _mm512_castps512_ps256(v);
    const __m256 high = _mm512_extractf32x8_ps(v, 1);
    const __m256 pair = _mm256_add_ps(low, high);
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(pair), _mm256_extractf128_ps(pair, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    s = _mm_add_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
  }
  static float largest(F v) {
    const __m256 low = _mm512_castps512_ps256(v);
    const __m256 high = _mm512_extractf32x8_ps(v, 1);
    const __m256 pair = _mm256_max_ps(low, high);
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(pair), _mm256_extractf128_ps(pair, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    s = _mm_max_ss(s, _mm_movehdup_ps(s));
    return _mm_cvtss_f32(s);
  }
  // 16 rows of 4 depths: out[c * stride + r] = rows[r][k + c]. The lanes of load i are rows i,
  // i + 4, i + 8 and i + 12, so that shuffles stay inside lanes.
  static constexpr int transpose_width = 16;
  static constexpr int transpose_depths = 4;
  static void transpose(const float* const* rows, std::int64_t k, float* out, std::int64_t stride) {
    F lanes[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      const F first = _mm512_castps128_ps512(_mm_loadu_ps(rows[i] + k));
      const F second = _mm512_insertf32x4(first, _mm_loadu_ps(rows[i + 4] + k), 1);
      const F third = _mm512_insertf32x4(second, _mm_loadu_ps(rows[i + 8] + k), 2);
      lanes[i] = _mm512_insertf32x4(third, _mm_loadu_ps(rows[i + 12] + k), 3);
    }
    const F low = _mm512_unpacklo_ps(lanes[0], lanes[1]);
    const F high = _mm512_unpackhi_ps(lanes[0], lanes[1]);
    const F next_low = _mm512_unpacklo_ps(lanes[2], lanes[3]);
    const F next_high = _mm512_unpackhi_ps(lanes[2], lanes[3]);
    store(out, _mm512_shuffle_ps(low, next_low, 0x44));
    store(out + stride, _mm512_shuffle_ps(low, next_low, 0xee));
    store(out + 2 * stride, _mm512_shuffle_ps(high, next_high, 0x44));
    store(out + 3 * stride, _mm512_shuffle_ps(high, next_high, 0xee));
  }
};

}  // namespace headspark::avx512
