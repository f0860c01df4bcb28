// The matrix product on two-dimensional tile registers (AMX) with split precision. `Tiles` is the
// handful of functions that touch tiles: tiles/tiles_amx.h, or its software twin
// tiles/tiles_emulated.h. A is `Terms` terms, B one (bf16 weights) or several; the products term i
// times term j with i + j < Terms are summed, the rest lies below fp32's last bit. `Split` says of
// what kind the terms are: bf16, or fp16, which hold each row of A and each panel of B times a
// power of two, so that the sums are multiplied by the inverses on their way to C.
//
// A tile of A is 16 rows x 32 depths, of B 32 depths x 16 columns in pairs, of C 16 x 16 fp32.
#pragma once

#include "cpu/kernels/fetch.h"
#include "cpu/kernels/scaled_sums.h"
#include "cpu/kernels/split_panels.h"

namespace headspark {

template <typename Tiles, typename Split, int Terms>
struct TileKernel {
  static constexpr std::int64_t tile_rows = 16;
  static constexpr std::int64_t tile_depth = 32;
  static constexpr std::int64_t tile_bytes = 1024;
  // Two row tiles of A in all terms are at most 36 or 40 KB: they stay in L1 while panels stream
  // past. Fewer blocks load and store C less often.
  static constexpr std::int64_t depth_block = Terms == 3 ? 192 : Terms == 2 ? 320 : 640;
  static constexpr bool scaled = Split::layout == PanelLayout::fp16_pairs;
  // Behind the terms of a row tile: what sums of its rows are to be multiplied by.
  static constexpr std::int64_t scale_bytes = scaled ? 64 : 0;

  static constexpr std::int64_t term_bytes(std::int64_t depth_tiles) {
    return depth_tiles * Terms * tile_bytes;
  }
  static std::int64_t row_tile_bytes(std::int64_t depth) {
    return term_bytes(padded_depth(depth) / tile_depth) + scale_bytes;
  }
  static std::int64_t a_bytes(std::int64_t rows, std::int64_t depth) {
    return (rows + 15) / 16 * row_tile_bytes(depth);
  }

  // Of one row; where rows have scales, its own is written.
  static float row_factor(const PackRowsA& p, const float* row, float* scale) {
    if constexpr (scaled) {
      const float size = p.scale < 0.0f ? -p.scale : p.scale;
      const RowPower power = row_power(size * Split::largest(row, p.depth), size);
      *scale = power.inverse;
      return p.scale * power.power;
    }
    return p.scale;
  }

  /// [row tile][depth tile][term][16 rows][32 depths]; depths past the end are zero, and rows past
  /// the end where there is more than one row tile.
  static void pack_a(const PackRowsA& p) {
    const std::int64_t depth = p.lead + p.depth;
    const std::int64_t blocks = padded_depth(depth) / tile_depth;
    const std::int64_t step = row_tile_bytes(p.whole > 0 ? p.whole : depth);
    char* a = static_cast<char*>(p.a) + term_bytes(p.at / tile_depth);
    constexpr std::int64_t term = tile_bytes / 2;
    for (std::int64_t r = 0; r < p.count; ++r) {
      char* row_tile = a + r / 16 * step;
      auto* tile = reinterpret_cast<std::uint16_t*>(row_tile + r % 16 * 64);
      const float* row = p.rows + r * p.stride;
      const float factor =
          row_factor(p, row, reinterpret_cast<float*>(row_tile + term_bytes(blocks)) + r % 16);
      for (std::int64_t block = 0; block < blocks; ++block, tile += Terms * term) {
        const std::int64_t first = block * tile_depth;
        if (p.lead == 0 && first + tile_depth <= depth) {
          Split::template row<Terms>(row + first, factor, tile, term);
        } else {
          float x[tile_depth] = {};
          for (std::int64_t k = first; k < first + tile_depth && k < depth; ++k) {
            if (k >= p.lead) x[k - first] = row[k - p.lead];
          }
          Split::template row<Terms>(x, factor, tile, term);
        }
      }
    }
    const std::int64_t missing = (16 - p.count % 16) % 16;
    char* last = a + p.count / 16 * step;
    for (std::int64_t i = 0; missing > 0 && i < blocks * Terms; ++i) {
      __builtin_memset(last + i * tile_bytes + (16 - missing) * 64, 0,
                       static_cast<std::size_t>(missing * 64));
    }
  }

  // C of one tile: in place when all 16 rows exist, else through a buffer of the caller.
  struct CTile {
    float* at = nullptr;
    std::int64_t stride = 0;  // floats
  };

  // Times per step of depth, between the products: more lines at once would take all fill buffers.
  static constexpr std::int64_t kFetches = 2 * Terms;

  // What is done beside the products of a block: what each of those times asks for, and, where they
  // are scaled, the sums of the block before.
  struct Beside {
    Fetch left;
    std::int64_t lines = 0;
    ScaledSums<Split> sums;
  };

  /// Tiles 0 to 3 are C, 4 and 5 A, 6 and 7 B.
  template <int RowTiles, int Panels>
  static void block(const GemmTile& t, const char* a, const CTile (&c)[2], const CTile (&out)[2],
                    Beside& beside) {
    load_c<RowTiles, Panels>(t.accumulate && !scaled, c);
    const std::int64_t blocks = padded_depth(t.depth) / tile_depth;
    const std::int64_t row_tile = row_tile_bytes(t.depth);
    const char* b = static_cast<const char*>(t.b);
    // What stores would wait for: C of the panels to the right, or where finished sums go, which
    // another core may have written last.
    const std::int64_t c_rows = (RowTiles * 16 + blocks - 1) / blocks;
    const bool direct = out[0].at != c[0].at;
    const float* next_c = direct ? out[0].at : c[0].at + Panels * 16;
    const std::int64_t next_stride = direct ? out[0].stride : c[0].stride;
    for (std::int64_t k = 0; k < blocks; ++k) {
      if constexpr (RowTiles == 1) fetch_lines(beside.left, kFetches * beside.lines);
      if constexpr (scaled) beside.sums.add(c_rows);
      for (std::int64_t i = 0; i < c_rows; ++i, next_c += next_stride) {
        __builtin_prefetch(next_c, 1, 3);
        if constexpr (Panels > 1) __builtin_prefetch(next_c + 16, 1, 3);
      }
      for (int j = 0; j < t.b_terms && j < Terms; ++j) {
        const char* column = b + j * t.term_bytes + k * tile_bytes;
        Tiles::template stream<6>(column, 64);
        if constexpr (Panels > 1) Tiles::template stream<7>(column + t.panel_bytes, 64);
        for (int i = 0; i + j < Terms; ++i) {
          const char* row = a + (k * Terms + i) * tile_bytes;
          Tiles::template load<4>(row, 64);
          if constexpr (RowTiles > 1) fetch_lines(beside.left, beside.lines);
          Tiles::template dot<0, 4, 6>();
          if constexpr (Panels > 1) Tiles::template dot<1, 4, 7>();
          if constexpr (RowTiles > 1) {
            Tiles::template load<5>(row + row_tile, 64);
            fetch_lines(beside.left, beside.lines);
            Tiles::template dot<2, 5, 6>();
            if constexpr (Panels > 1) Tiles::template dot<3, 5, 7>();
          }
        }
      }
    }
    if constexpr (scaled) {
      constexpr std::int64_t stride = ScaledSums<Split>::stride;
      float* sums = beside.sums.buffer();
      store_c<RowTiles, Panels>({{sums, stride}, {sums + tile_rows * stride, stride}});
    } else {
      store_c<RowTiles, Panels>(out);
    }
  }

  template <int RowTiles, int Panels>
  static void load_c(bool accumulate, const CTile (&c)[2]) {
    if (!accumulate) {
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

  static void copy_c(const CTile& from, const CTile& to, std::int64_t rows, std::int64_t columns) {
    for (std::int64_t r = 0; r < rows; ++r) {
      __builtin_memcpy(to.at + r * to.stride, from.at + r * from.stride,
                       static_cast<std::size_t>(columns) * sizeof(float));
    }
  }

  // Up to two row tiles against two panels or one.
  template <int Panels>
  static void row_pair(const GemmTile& t, const char* a, std::int64_t r, Beside& beside) {
    constexpr std::int64_t columns = Panels * 16;
    alignas(64) float edge[tile_rows * columns];
    CTile c[2];
    CTile out[2];
    for (int i = 0; i < 2; ++i) {
      const std::int64_t row = r + i * tile_rows;
      c[i] = {t.c + row * t.c_stride, t.c_stride};
      out[i] = {t.out + row * t.out_stride, t.out_stride};
    }
    const std::int64_t left = t.rows - r;
    const int tiles = left > tile_rows ? 2 : 1;
    const std::int64_t last = left - (tiles - 1) * tile_rows;  // rows of the last tile
    const bool sticks_out = !scaled && last < tile_rows && t.rows >= tile_rows;
    const CTile outside = out[tiles - 1];
    const CTile inside{edge, columns};
    if (sticks_out) {
      if (t.accumulate) copy_c(c[tiles - 1], inside, last, columns);
      c[tiles - 1] = out[tiles - 1] = inside;
    }
    tiles > 1 ? block<2, Panels>(t, a, c, out, beside) : block<1, Panels>(t, a, c, out, beside);
    if (sticks_out) copy_c(inside, outside, last, columns);
    if constexpr (scaled) {
      const std::int64_t row_tile = row_tile_bytes(t.depth);
      beside.sums.put(t, r, Panels, a + row_tile - scale_bytes, row_tile);
    }
  }

  static void multiply(const GemmTile& tile) {
    const std::int64_t blocks = padded_depth(tile.depth) / tile_depth;
    const std::int64_t pair_bytes = 2 * row_tile_bytes(tile.depth);
    const std::int64_t pairs = (tile.rows + 2 * tile_rows - 1) / (2 * tile_rows);
    Beside beside;
    beside.left = tile.next;
    beside.lines = fetch_share(tile.next, pairs * ((tile.panels + 1) / 2) * blocks * kFetches);
    const char* a = static_cast<const char*>(tile.a);
    for (std::int64_t r = 0; r < tile.rows; r += 2 * tile_rows, a += pair_bytes) {
      GemmTile t = tile;
      if (t.out == nullptr) {
        t.out = t.c;
        t.out_stride = t.c_stride;
      }
      for (; t.panels > 1; t.panels -= 2) {
        row_pair<2>(t, a, r, beside);
        t.b = static_cast<const char*>(t.b) + 2 * t.panel_bytes;
        if constexpr (scaled) t.b_scales += 2;
        t.c += 2 * 16;
        t.out += 2 * 16;
      }
      if (t.panels > 0) row_pair<1>(t, a, r, beside);
    }
    if constexpr (scaled) beside.sums.finish();
  }

  /// Fewer than 16 rows are fewer rows of each tile, so that none sticks out.
  static void begin(std::int64_t rows) { Tiles::configure(rows < tile_rows ? rows : tile_rows); }

  static constexpr GemmKernels kernels() {
    GemmKernels kernels{};
    kernels.row_tile = 2 * tile_rows;
    // An item's C, A and the panels beside them stay in L2: with one term A is small, and more rows
    // read each panel less often.
    kernels.row_block = Terms > 1 ? 128 : 256;
    kernels.block_rows = 256;  // fewer read wide models' weights faster than L3 gives them
    kernels.panels = Terms > 1 ? 48 : 24;
    kernels.item_panels = Terms > 1 ? 48 : 24;
    kernels.items_per_thread = 2;
    kernels.stream_panels = 8;
    kernels.depth_block = depth_block;
    kernels.b_terms = Terms;
    kernels.terms_layout = Split::layout;
    kernels.whole_depths = scaled;
    kernels.packs_a = true;
    kernels.writes_out = true;
    kernels.expand_rows = std::int64_t{1} << 30;
    kernels.a_bytes = a_bytes;
    kernels.pack_a = pack_a;
    kernels.split_panels = split_panels<Terms, Split>;
    kernels.multiply = multiply;
    kernels.begin = begin;
    kernels.end = Tiles::release;
    return kernels;
  }
};

/// bf16 terms of one operand: 3 hold all 24 bits of fp32, 1 is `fast`.
constexpr int kExactTerms = 3;
constexpr int kFastTerms = 1;
/// fp16 terms that hold fp32's bits, but for the last in some values.
constexpr int kExactFp16Terms = 2;

/// A table of other kernels with the products of tiles.
template <typename Tiles, typename Split, int Terms>
static KernelTable with_tiles(KernelTable table) {
  table.gemm = TileKernel<Tiles, Split, Terms>::kernels();
  if (Terms == kFastTerms) table.attention = table.gemm;  // one term costs little to make
  return table;
}

/// The same for edge_contraction, in bf16 terms and exact whatever the precision: a small part of
/// attribution, which decides what its scores are off by.
template <typename Tiles, typename Split>
static KernelTable with_contraction_tiles(KernelTable table) {
  static_assert(Split::layout == PanelLayout::pairs);
  table.contraction = TileKernel<Tiles, Split, kExactTerms>::kernels();
  return table;
}

}  // namespace headspark
