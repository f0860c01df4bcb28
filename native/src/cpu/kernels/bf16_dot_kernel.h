// The matrix product of `fast` on AVX-512 processors with bf16 dot products: A and B are single
// bf16 terms, two depths per instruction, sums in fp32. Rows cannot change bits: one chain per
// element.
#pragma once

#include <immintrin.h>

#include "cpu/kernels/bf16_terms_avx512.h"
#include "cpu/kernels/register_tiles.h"
#include "cpu/kernels/split_panels.h"

namespace headspark {

struct Bf16DotKernel {
  static constexpr std::int64_t tile_rows = 12;  // 24 accumulators of 32 registers
  static constexpr std::int64_t tile_panels = 2;
  static constexpr std::int64_t row_panels = 8;     // 8 chains per row hide the latency
  static constexpr std::int64_t depth_block = 512;  // 512 x 32 bf16 of B are 32 KB: L1
  // Depth pairs of a row of A, 17 cache lines as with fp32, so that rows fall into different sets.
  static constexpr std::int64_t row_pairs = depth_block / 2 + 16;
  static constexpr std::int64_t row_bytes = row_pairs * 4;

  static std::int64_t a_bytes(std::int64_t rows, std::int64_t) { return rows * row_bytes; }

  static void pack_a(const PackRowsA& p) {
    const __m512 scale = _mm512_set1_ps(p.scale);
    for (std::int64_t r = 0; r < p.count; ++r) {
      const float* source = p.rows + r * p.stride;
      std::uint16_t* target = static_cast<std::uint16_t*>(p.a) + r * row_pairs * 2 + p.at;
      if (p.lead != 0) *target++ = 0;
      std::int64_t i = 0;
      for (; i < p.depth; i += 16) {
        const std::int64_t left = p.depth - i;
        const auto mask = static_cast<__mmask16>(left < 16 ? (1u << left) - 1u : 0xffffu);
        const __m512 x = _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(mask, source + i));
        // Past the depth the zeros of the mask are stored: an odd depth meets a zero.
        const __m256bh half = _mm512_cvtneps_pbh(x);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + i), (__m256i)half);
      }
      target[i] = 0;
    }
  }

  template <int Rows, int Panels, bool Fetches>
  [[gnu::noinline]] static void run(const GemmTile& t, Fetch& next, std::int64_t share) {
    __m512 acc[Rows][Panels];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int n = 0; n < Panels; ++n) acc[r][n] = _mm512_setzero_ps();
    }
    const auto* a = static_cast<const std::uint32_t*>(t.a);
    const auto* b = static_cast<const char*>(t.b);
    const std::int64_t pairs = (t.depth + 1) / 2;
    constexpr std::int64_t fetch_pairs = kFetchDepths / 2;
    for (std::int64_t k = 0; k < pairs;) {
      if constexpr (Fetches) fetch_lines(next, share);
      const std::int64_t end = Fetches && k + fetch_pairs < pairs ? k + fetch_pairs : pairs;
      for (; k < end; ++k, b += 64) {
        __m512bh column[Panels];
#pragma GCC unroll 16
        for (int n = 0; n < Panels; ++n) {
          column[n] = (__m512bh)_mm512_loadu_si512(b + n * t.panel_bytes);
        }
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const auto x = (__m512bh)_mm512_set1_epi32(static_cast<int>(a[r * row_pairs + k]));
#pragma GCC unroll 16
          for (int n = 0; n < Panels; ++n) acc[r][n] = _mm512_dpbf16_ps(acc[r][n], x, column[n]);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int n = 0; n < Panels; ++n) {
        float* c = t.c + r * t.c_stride + n * 16;
        const __m512 sum = t.accumulate ? _mm512_add_ps(_mm512_loadu_ps(c), acc[r][n]) : acc[r][n];
        _mm512_storeu_ps(c, sum);
      }
    }
  }

  static constexpr GemmKernels kernels() {
    GemmKernels kernels{};
    kernels.row_tile = tile_rows;
    kernels.stream_panels = row_panels;
    kernels.depth_block = depth_block;
    kernels.b_terms = 1;
    kernels.packs_a = true;
    kernels.expand_rows = std::int64_t{1} << 30;
    kernels.a_bytes = a_bytes;
    kernels.pack_a = pack_a;
    kernels.split_panels = split_panels_into<1, Avx512Terms>;
    kernels.multiply = RegisterTiles<Bf16DotKernel>::multiply;
    return kernels;
  }
};

}  // namespace headspark
