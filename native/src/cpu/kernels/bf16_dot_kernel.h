// The matrix product of `fast` on AVX-512 processors with bf16 dot products: A and B are single
// bf16 terms, two depths per instruction, sums in fp32. Rows cannot change bits: one chain per
// element.
#pragma once

#include <immintrin.h>

#include "cpu/kernels/bf16_terms_avx512.h"
#include "cpu/kernels/fetch.h"
#include "cpu/kernels/split_panels.h"

namespace headspark {

struct Bf16DotKernel {
  static constexpr std::int64_t tile_rows = 12;     // 24 accumulators of 32 registers
  static constexpr std::int64_t depth_block = 512;  // 512 x 32 bf16 of B are 32 KB: L1
  // Depth pairs of a row of A, 17 cache lines as with fp32, so that rows fall into different sets.
  static constexpr std::int64_t row_pairs = depth_block / 2 + 16;

  static std::int64_t a_bytes(std::int64_t rows, std::int64_t) { return rows * row_pairs * 4; }

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

  static constexpr std::int64_t row_panels = 8;  // 8 chains per row hide the latency
  // Products of one or two rows wait for nothing but memory: they ask for what is read next at
  // every 16th depth.
  static constexpr std::int64_t fetch_pairs = 8;

  template <int Rows, int Panels, bool Fetches = false>
  static void block(const GemmTile& t) {
    __m512 acc[Rows][Panels];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int n = 0; n < Panels; ++n) acc[r][n] = _mm512_setzero_ps();
    }
    const auto* a = static_cast<const std::uint32_t*>(t.a);
    const auto* b = static_cast<const char*>(t.b);
    const std::int64_t pairs = (t.depth + 1) / 2;
    Fetch next = Fetches ? t.next : Fetch();
    const std::int64_t share =
        Fetches ? fetch_share(next, (pairs + fetch_pairs - 1) / fetch_pairs) : 0;
    for (std::int64_t k = 0; k < pairs; ++k, b += 64) {
      if constexpr (Fetches) {
        if (k % fetch_pairs == 0) fetch_lines(next, share);
      }
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

  template <int Rows, int Panels>
  static void rows_block(const GemmTile& t) {
    if constexpr (Rows > 0) {
      if (t.rows == Rows) return block<Rows, Panels>(t);
      rows_block<Rows - 1, Panels>(t);
    }
  }

  static std::int64_t row_tiles(const GemmTile& t) {
    return (t.rows + tile_rows - 1) / tile_rows;
  }

  // Tiles of nearly the same height: five of 12 rows and one of 4 would leave the last one waiting
  // for the latency of its few chains.
  template <int Panels>
  static void all_rows(GemmTile t, Fetch& next, std::int64_t share) {
    std::int64_t tiles = row_tiles(t);
    for (std::int64_t left = t.rows; tiles > 0; --tiles) {
      fetch_lines(next, share);
      t.rows = (left + tiles - 1) / tiles;
      rows_block<tile_rows, Panels>(t);
      t.a = static_cast<const char*>(t.a) + a_bytes(t.rows, 0);
      t.c += t.rows * t.c_stride;
      left -= t.rows;
    }
  }

  // All panels at once keep enough chains alive.
  template <int Panels>
  static void few_rows(const GemmTile& t) {
    if constexpr (Panels > 0) {
      if (t.panels < Panels) return few_rows<Panels - 1>(t);
      t.rows == 1 ? block<1, Panels, true>(t) : block<2, Panels, true>(t);
    }
  }

  static void skip_panels(GemmTile& t, std::int64_t panels) {
    t.panels -= panels;
    t.b = static_cast<const char*>(t.b) + panels * t.panel_bytes;
    t.c += panels * 16;
  }

  static void multiply(const GemmTile& tile) {
    GemmTile t = tile;
    if (t.rows <= 2) {
      while (t.panels > 0) {
        few_rows<row_panels>(t);
        t.next = {};
        skip_panels(t, t.panels < row_panels ? t.panels : row_panels);
      }
      return;
    }
    Fetch next = t.next;
    const std::int64_t share = fetch_share(next, row_tiles(t) * ((t.panels + 1) / 2));
    for (; t.panels >= 2; skip_panels(t, 2)) {
      all_rows<2>(t, next, share);
    }
    if (t.panels > 0) all_rows<1>(t, next, share);
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
    kernels.multiply = multiply;
    return kernels;
  }
};

}  // namespace headspark
