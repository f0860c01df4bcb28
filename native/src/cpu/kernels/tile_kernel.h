// The matrix product on two-dimensional tile registers (AMX) with split precision. `Tiles` is the
// handful of functions that touch tiles: tiles/tiles_amx.h, or its software twin
// tiles/tiles_emulated.h. A is `Terms` bf16 terms, B one (bf16 weights) or several; the products
// term i times term j with i + j < Terms are summed, the rest lies below fp32's last bit.
//
// A tile of A is 16 rows x 32 depths, of B 32 depths x 16 columns in pairs, of C 16 x 16 fp32.
#pragma once

#include "cpu/kernels/bf16_terms.h"

namespace headspark {

template <typename Tiles, int Terms>
struct TileKernel {
  static constexpr std::int64_t tile_rows = 16;
  static constexpr std::int64_t tile_depth = 32;
  static constexpr std::int64_t tile_bytes = 1024;
  static constexpr std::int64_t depth_block = 512;  // 512 x 32 bf16 of B are 32 KB: L1

  static std::int64_t a_bytes(std::int64_t rows, std::int64_t depth) {
    return (rows + 15) / 16 * (padded_depth(depth) / tile_depth) * Terms * tile_bytes;
  }

  /// [row tile][depth tile][term][16 rows][32 depths]; rows and depths past the end are zero.
  static void pack_a(const PackRowsA& p) {
    const std::int64_t depth = p.lead + p.depth;
    const std::int64_t blocks = padded_depth(depth) / tile_depth;
    const std::int64_t rows = (p.count + 15) / 16 * 16;
    for (std::int64_t r = 0; r < rows; ++r) {
      for (std::int64_t block = 0; block < blocks; ++block) {
        auto* tile = static_cast<std::uint16_t*>(p.a) +
                     ((r / 16 * blocks + block) * Terms * tile_bytes + r % 16 * 64) / 2;
        float x[tile_depth] = {};
        if (r < p.count) read_row(p, p.rows + r * p.stride, block * tile_depth, x);
        std::uint16_t terms[Terms][tile_depth];
        split_terms<Terms, tile_depth>(x, terms);
        for (int t = 0; t < Terms; ++t) {
          __builtin_memcpy(tile + t * tile_bytes / 2, terms[t], sizeof terms[t]);
        }
      }
    }
  }

  static void read_row(const PackRowsA& p, const float* row, std::int64_t first, float* x) {
    const std::int64_t depth = p.lead + p.depth;
    if (p.lead == 0 && first + tile_depth <= depth) {
      for (int i = 0; i < tile_depth; ++i) x[i] = p.scale * row[first + i];
      return;
    }
    for (std::int64_t k = first; k < first + tile_depth && k < depth; ++k) {
      if (k >= p.lead) x[k - first] = p.scale * row[k - p.lead];
    }
  }

  // C of one tile: in place when all 16 rows exist, else through a buffer of the caller.
  struct CTile {
    float* at = nullptr;
    std::int64_t stride = 0;  // floats
  };

  /// Tiles 0 to 3 are C, 4 and 5 A, 6 and 7 B.
  template <int RowTiles, int Panels>
  static void block(const GemmTile& t, const char* a, const CTile (&c)[2]) {
    load_c<RowTiles, Panels>(t, c);
    const std::int64_t blocks = padded_depth(t.depth) / tile_depth;
    const std::int64_t row_tile_bytes = blocks * Terms * tile_bytes;
    const char* b = static_cast<const char*>(t.b);
    for (std::int64_t k = 0; k < blocks; ++k) {
      for (int j = 0; j < t.b_terms && j < Terms; ++j) {
        const char* column = b + j * t.term_bytes + k * tile_bytes;
        Tiles::template load<6>(column, 64);
        if constexpr (Panels > 1) Tiles::template load<7>(column + t.panel_bytes, 64);
        for (int i = 0; i + j < Terms; ++i) {
          const char* row = a + (k * Terms + i) * tile_bytes;
          Tiles::template load<4>(row, 64);
          Tiles::template dot<0, 4, 6>();
          if constexpr (Panels > 1) Tiles::template dot<1, 4, 7>();
          if constexpr (RowTiles > 1) {
            Tiles::template load<5>(row + row_tile_bytes, 64);
            Tiles::template dot<2, 5, 6>();
            if constexpr (Panels > 1) Tiles::template dot<3, 5, 7>();
          }
        }
      }
    }
    store_c<RowTiles, Panels>(c);
  }

  template <int RowTiles, int Panels>
  static void load_c(const GemmTile& t, const CTile (&c)[2]) {
    if (!t.accumulate) {
      Tiles::template zero<0>();
      if constexpr (Panels > 1) Tiles::template zero<1>();
      if constexpr (RowTiles > 1) {
        Tiles::template zero<2>();
        if constexpr (Panels > 1) Tiles::template zero<3>();
      }
      return;
    }
    Tiles::template load<0>(c[0].at, c[0].stride * 4);
    if constexpr (Panels > 1) Tiles::template load<1>(c[0].at + 16, c[0].stride * 4);
    if constexpr (RowTiles > 1) {
      Tiles::template load<2>(c[1].at, c[1].stride * 4);
      if constexpr (Panels > 1) Tiles::template load<3>(c[1].at + 16, c[1].stride * 4);
    }
  }

  template <int RowTiles, int Panels>
  static void store_c(const CTile (&c)[2]) {
    Tiles::template store<0>(c[0].at, c[0].stride * 4);
    if constexpr (Panels > 1) Tiles::template store<1>(c[0].at + 16, c[0].stride * 4);
    if constexpr (RowTiles > 1) {
      Tiles::template store<2>(c[1].at, c[1].stride * 4);
      if constexpr (Panels > 1) Tiles::template store<3>(c[1].at + 16, c[1].stride * 4);
    }
  }

  static void copy_c(const float* from, std::int64_t from_stride, float* to, std::int64_t to_stride,
                     std::int64_t rows, std::int64_t columns) {
    for (std::int64_t r = 0; r < rows; ++r) {
      __builtin_memcpy(to + r * to_stride, from + r * from_stride,
                       static_cast<std::size_t>(columns) * sizeof(float));
    }
  }

  template <int Panels>
  static void all_rows(const GemmTile& t) {
    const std::int64_t blocks = padded_depth(t.depth) / tile_depth;
    const std::int64_t pair_bytes = 2 * blocks * Terms * tile_bytes;
    const char* a = static_cast<const char*>(t.a);
    constexpr std::int64_t columns = Panels * 16;
    alignas(64) float edge[tile_rows * columns];
    for (std::int64_t r = 0; r < t.rows; r += 2 * tile_rows, a += pair_bytes) {
      CTile c[2];
      for (int i = 0; i < 2; ++i) c[i] = {t.c + (r + i * tile_rows) * t.c_stride, t.c_stride};
      const std::int64_t left = t.rows - r;
      const int tiles = left > tile_rows ? 2 : 1;
      const std::int64_t last = left - (tiles - 1) * tile_rows;  // rows of the last tile
      float* outside = c[tiles - 1].at;
      if (last < tile_rows) {
        c[tiles - 1] = {edge, columns};
        if (t.accumulate) copy_c(outside, t.c_stride, edge, columns, last, columns);
      }
      tiles > 1 ? block<2, Panels>(t, a, c) : block<1, Panels>(t, a, c);
      if (last < tile_rows) copy_c(edge, columns, outside, t.c_stride, last, columns);
    }
  }

  static void multiply(const GemmTile& tile) {
    GemmTile t = tile;
    for (; t.panels > 0;) {
      const std::int64_t panels = t.panels > 1 ? 2 : 1;
      panels > 1 ? all_rows<2>(t) : all_rows<1>(t);
      t.panels -= panels;
      t.b = static_cast<const char*>(t.b) + panels * t.panel_bytes;
      t.c += panels * 16;
    }
  }

  static constexpr GemmKernels kernels() {
    GemmKernels kernels{};
    kernels.row_tile = 2 * tile_rows;
    kernels.depth_block = depth_block;
    kernels.b_terms = Terms;
    kernels.packs_a = true;
    kernels.expand_rows = std::int64_t{1} << 30;
    kernels.a_bytes = a_bytes;
    kernels.pack_a = pack_a;
    kernels.split_panels = split_panels_into<Terms>;
    kernels.multiply = multiply;
    kernels.begin = Tiles::configure;
    kernels.end = Tiles::release;
    return kernels;
  }
};

/// bf16 terms of one operand: 3 hold all 24 bits of fp32, 1 is `fast`.
constexpr int kExactTerms = 3;
constexpr int kFastTerms = 1;

}  // namespace headspark
