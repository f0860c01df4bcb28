// Register-blocked matrix product on panels of 16 columns. Every element is one chain
// acc = fma(a[k], b[k], acc) over k in order, for any number of rows: batches cannot change bits.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/kernels/math.h"

namespace headspark {

template <typename S>
struct GemmKernel {
  using F = typename S::F;
  static constexpr int panel_vectors = 16 / S::width;

  template <int Rows, int Panels, bool Bf16>
  static void block(const GemmTile& t) {
    constexpr int vectors = Panels * panel_vectors;
    F acc[Rows][vectors];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) acc[r][v] = S::set(0.0f);
    }
    fetch_c<Rows, vectors * S::width>(t);
    const float* a = t.a;
    std::int64_t at = 0;  // of the first panel's row k
    for (std::int64_t k = 0; k < t.depth; ++k, at += 16) {
      F b[vectors];
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        const std::int64_t element =
            at + (v / panel_vectors) * t.panel_stride + (v % panel_vectors) * S::width;
        if constexpr (Bf16) {
          b[v] = S::load_bf16(static_cast<const std::uint16_t*>(t.b) + element);
        } else {
          b[v] = S::load(static_cast<const float*>(t.b) + element);
        }
      }
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        const F x = S::set(a[r * kTileStride + k]);
#pragma GCC unroll 16
        for (int v = 0; v < vectors; ++v) acc[r][v] = S::fma(x, b[v], acc[r][v]);
      }
    }
    store<Rows, vectors>(t, acc);
  }

  // C comes from L2 or beyond: ask for it before the depth loop, which hides the wait.
  template <int Rows, int Columns>
  static void fetch_c(const GemmTile& t) {
    for (int r = 0; r < Rows; ++r) {
      const float* c = t.c + r * t.c_stride;
      for (int j = 0; j < Columns; j += 16) __builtin_prefetch(c + j, 1);
      __builtin_prefetch(c + Columns - 1, 1);
    }
  }

  // One share of next_b per tile.
  static void fetch_next(GemmTile& t, std::int64_t share) {
    const char* line = static_cast<const char*>(t.next_b);
    const std::int64_t bytes = share < t.next_bytes ? share : t.next_bytes;
    for (std::int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(line + i, 0, 2);
    t.next_b = line + bytes;
    t.next_bytes -= bytes;
  }

  template <int Rows, int Vectors>
  static void store(const GemmTile& t, F (&acc)[Rows][Vectors]) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) {
        float* c = t.c + r * t.c_stride + v * S::width;
        S::store(c, t.accumulate ? S::add(S::load(c), acc[r][v]) : acc[r][v]);
      }
    }
  }

  // The last rows, fewer than a full tile.
  template <int Rows, int Panels, bool Bf16>
  static void remainder(const GemmTile& t) {
    if constexpr (Rows > 0) {
      if (t.rows == Rows) return block<Rows, Panels, Bf16>(t);
      remainder<Rows - 1, Panels, Bf16>(t);
    }
  }

  template <int Panels, bool Bf16>
  static void all_rows(GemmTile t) {
    const std::int64_t tiles = t.rows / S::tile_rows;
    const std::int64_t share = tiles > 0 ? (t.next_bytes / tiles / 64 + 1) * 64 : 0;
    for (; t.rows >= S::tile_rows; t.rows -= S::tile_rows) {
      fetch_next(t, share);
      block<S::tile_rows, Panels, Bf16>(t);
      t.a += S::tile_rows * kTileStride;
      t.c += S::tile_rows * t.c_stride;
    }
    remainder<S::tile_rows - 1, Panels, Bf16>(t);
  }

  template <bool Bf16>
  static void all_panels(GemmTile t) {
    constexpr int element_bytes = Bf16 ? 2 : 4;
    for (; t.panels >= S::tile_panels; t.panels -= S::tile_panels) {
      all_rows<S::tile_panels, Bf16>(t);
      t.next_bytes = 0;  // fetched beside the first panel
      t.b = static_cast<const char*>(t.b) + S::tile_panels * t.panel_stride * element_bytes;
      t.c += S::tile_panels * 16;
    }
    if constexpr (S::tile_panels > 1) {
      if (t.panels > 0) all_rows<1, Bf16>(t);
    }
  }

  static void gemm(const GemmTile& t) {
    if (t.b_dtype == DType::bf16) {
      all_panels<true>(t);
    } else {
      all_panels<false>(t);
    }
  }

  static void pack_rows(const PackRows& p) {
    constexpr int block_width = S::transpose_width;
    for (int j = 0; j < 16; j += block_width) {
      bool whole = true;
      for (int r = 0; r < block_width; ++r) whole = whole && p.rows[j + r] != nullptr;
      std::int64_t k = 0;
      for (; whole && k + block_width <= p.depth; k += block_width) {
        S::transpose(p.rows + j, k, p.panel + k * p.stride + j, p.stride);
      }
      for (int r = j; r < j + block_width; ++r) {
        const float* row = p.rows[r];
        for (std::int64_t i = k; i < p.depth; ++i) {
          p.panel[i * p.stride + r] = row != nullptr ? row[i] : 0.0f;
        }
      }
    }
  }

  static void expand_bf16(const std::uint16_t* bits, std::int64_t count, float* values) {
    std::int64_t i = 0;
    for (; i + S::width <= count; i += S::width) S::store(values + i, S::load_bf16(bits + i));
    if (i == count) return;
    std::uint16_t tail[S::width] = {};
    for (std::int64_t j = i; j < count; ++j) tail[j - i] = bits[j];
    store_part<S>(values + i, count - i, S::load_bf16(tail));
  }
};

}  // namespace headspark
