// Scores of edges as dot products of long rows. Both operands lie along the contracted axis, so
// lanes run along it too and the many sources are read as they lie: with few destinations, packing
// them would cost more than the products. Every element is one chain per block of depth, whatever
// tile it falls into.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/kernels/math.h"

namespace headspark {

template <typename S>
struct ContractionKernel {
  using F = typename S::F;
  static constexpr int tile_rows = kContractionRows;
  static constexpr int tile_columns = S::contraction_columns;
  static_assert(tile_columns <= kContractionColumns && S::width <= 16);

  /// packed[vector][column][lane]: one pointer walks over all columns; zeros past the length.
  template <int Columns>
  static void pack(const ContractionTile& t, std::int64_t v) {
    float* out = t.packed;
    for_lanes<S>(t.length, [&](std::int64_t i, std::int64_t lanes) {
      for (int c = 0; c < Columns; ++c, out += S::width) {
        S::store(out, load_lanes<S>(t.gradient + (v + c) * t.gradient_stride + i, lanes));
      }
    });
  }

  template <int Rows, int Columns>
  static void add_products(const F (&d)[Rows], const float* g, F (&sums)[Rows][Columns]) {
#pragma GCC unroll 16
    for (int c = 0; c < Columns; ++c) {
      const F x = S::in_register(S::load(g + c * S::width));
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) sums[r][c] = S::fma(d[r], x, sums[r][c]);
    }
  }

  template <int Rows, int Columns>
  static void tile(const ContractionTile& t, std::int64_t u, std::int64_t v) {
    F sums[Rows][Columns];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) sums[r][c] = S::set(0.0f);
    }
    const float* delta = t.delta + u * t.delta_stride;
    const float* g = t.packed;
    std::int64_t i = 0;
    for (; i + S::width <= t.length; i += S::width, g += Columns * S::width) {
      F d[Rows];
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        d[r] = S::load(delta + r * t.delta_stride + i);
        // Blocks of a row are too short for the processor's own prefetching.
        __builtin_prefetch(delta + (Rows + r) * t.delta_stride + i);
      }
      add_products<Rows, Columns>(d, g, sums);
    }
    if (i < t.length) {
      F d[Rows];
      for (int r = 0; r < Rows; ++r) {
        d[r] = load_part<S>(delta + r * t.delta_stride + i, t.length - i);
      }
      add_products<Rows, Columns>(d, g, sums);
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int c = 0; c < Columns; ++c) {
        t.scores[(u + r) * t.scores_stride + v + c] += S::sum(sums[r][c]);
      }
    }
  }

  template <int Rows, int Columns>
  static void row_remainder(const ContractionTile& t, std::int64_t u, std::int64_t v) {
    if constexpr (Rows > 0) {
      if (t.sources - u == Rows) return tile<Rows, Columns>(t, u, v);
      row_remainder<Rows - 1, Columns>(t, u, v);
    }
  }

  template <int Columns>
  static void all_rows(const ContractionTile& t, std::int64_t v) {
    pack<Columns>(t, v);
    std::int64_t u = 0;
    for (; u + tile_rows <= t.sources; u += tile_rows) tile<tile_rows, Columns>(t, u, v);
    row_remainder<tile_rows - 1, Columns>(t, u, v);
  }

  template <int Columns>
  static void column_remainder(const ContractionTile& t, std::int64_t v) {
    if constexpr (Columns > 0) {
      if (t.destinations - v == Columns) return all_rows<Columns>(t, v);
      column_remainder<Columns - 1>(t, v);
    }
  }

  static void contract(const ContractionTile& t) {
    std::int64_t v = 0;
    for (; v + tile_columns <= t.destinations; v += tile_columns) all_rows<tile_columns>(t, v);
    column_remainder<tile_columns - 1>(t, v);
  }
};

}  // namespace headspark
