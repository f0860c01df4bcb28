// The matrix product on two-dimensional tile registers (AMX) with split precision. `Tiles` is the
// handful of functions that touch tiles: tiles/tiles_amx.h, or its software twin
// tiles/tiles_emulated.h. A is `Terms` bf16 terms, B one (bf16 weights) or several; the products
// term i times term j with i + j < Terms are summed, the rest lies below fp32's last bit.
//
// A tile of A is 16 rows x 32 depths, of B 32 depths x 16 columns in pairs, of C 16 x 16 fp32.
#pragma once

#include "cpu/kernels/bf16_terms.h"
#include "cpu/kernels/fetch.h"

namespace headspark {

template <typename Tiles, typename Split, int Terms>
struct TileKernel {
  static constexpr std::int64_t tile_rows = 16;
  static constexpr std::int64_t tile_depth = 32;
  static constexpr std::int64_t tile_bytes = 1024;
  // Two row tiles of A in all terms are at most 36 or 40 KB: they stay in L1 while panels stream
  // past. Fewer blocks load and store C less often.
  static constexpr std::int64_t depth_block = Terms > 1 ? 192 : 640;

  static std::int64_t a_bytes(std::int64_t rows, std::int64_t depth) {
    return (rows + 15) / 16 * (padded_depth(depth) / tile_depth) * Terms * tile_bytes;
  }

  /// [row tile][depth tile][term][16 rows][32 depths]; depths past the end are zero, and rows past
  /// the end where there is more than one row tile.
  static void pack_a(const PackRowsA& p) {
    const std::int64_t depth = p.lead + p.depth;
    const std::int64_t blocks = padded_depth(depth) / tile_depth;
    const std::int64_t row_tile_bytes = a_bytes(16, p.whole > 0 ? p.whole : depth);
    char* a = static_cast<char*>(p.a) + p.at / tile_depth * Terms * tile_bytes;
    constexpr std::int64_t term = tile_bytes / 2;
    for (std::int64_t r = 0; r < p.count; ++r) {
      auto* tile = reinterpret_cast<std::uint16_t*>(a + r / 16 * row_tile_bytes + r % 16 * 64);
      const float* row = p.rows + r * p.stride;
      for (std::int64_t block = 0; block < blocks; ++block, tile += Terms * term) {
        const std::int64_t first = block * tile_depth;
        if (p.lead == 0 && first + tile_depth <= depth) {
          Split::template row<Terms>(row + first, p.scale, tile, term);
        } else {
          float x[tile_depth] = {};
          for (std::int64_t k = first; k < first + tile_depth && k < depth; ++k) {
            if (k >= p.lead) x[k - first] = row[k - p.lead];
          }
          Split::template row<Terms>(x, p.scale, tile, term);
        }
      }
    }
    const std::int64_t missing = (16 - p.count % 16) % 16;
    char* last = a + p.count / 16 * row_tile_bytes;
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

  // What each of them asks for.
  struct Fetching {
    Fetch left;
    std::int64_t lines = 0;
  };

  /// Tiles 0 to 3 are C, 4 and 5 A, 6 and 7 B.
  template <int RowTiles, int Panels>
  static void block(const GemmTile& t, const char* a, const CTile (&c)[2], const CTile (&out)[2],
                    Fetching& next) {
    load_c<RowTiles, Panels>(t, c);
    const std::int64_t blocks = padded_depth(t.depth) / tile_depth;
    const std::int64_t row_tile_bytes = blocks * Terms * tile_bytes;
    const char* b = static_cast<const char*>(t.b);
    // What stores would wait for: C of the panels to the right, or where finished sums go, which
    // another core may have written last.
    const std::int64_t c_rows = (RowTiles * 16 + blocks - 1) / blocks;
    const bool direct = out[0].at != c[0].at;
    const float* next_c = direct ? out[0].at : c[0].at + Panels * 16;
    const std::int64_t next_stride = direct ? out[0].stride : c[0].stride;
    for (std::int64_t k = 0; k < blocks; ++k) {
      if constexpr (RowTiles == 1) fetch_lines(next.left, kFetches * next.lines);
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
          if constexpr (RowTiles > 1) fetch_lines(next.left, next.lines);
          Tiles::template dot<0, 4, 6>();
          if constexpr (Panels > 1) Tiles::template dot<1, 4, 7>();
          if constexpr (RowTiles > 1) {
            Tiles::template load<5>(row + row_tile_bytes, 64);
            fetch_lines(next.left, next.lines);
            Tiles::template dot<2, 5, 6>();
            if constexpr (Panels > 1) Tiles::template dot<3, 5, 7>();
          }
        }
      }
    }
    store_c<RowTiles, Panels>(out);
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

  static void copy_c(const CTile& from, const CTile& to, std::int64_t rows, std::int64_t columns) {
    for (std::int64_t r = 0; r < rows; ++r) {
      __builtin_memcpy(to.at + r * to.stride, from.at + r * from.stride,
                       static_cast<std::size_t>(columns) * sizeof(float));
    }
  }

  // Up to two row tiles against two panels or one.
  template <int Panels>
  static void row_pair(const GemmTile& t, const char* a, std::int64_t r, Fetching& next) {
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
    const bool sticks_out = last < tile_rows && t.rows >= tile_rows;
    const CTile outside = out[tiles - 1];
    const CTile inside{edge, columns};
    if (sticks_out) {
      if (t.accumulate) copy_c(c[tiles - 1], inside, last, columns);
      c[tiles - 1] = out[tiles - 1] = inside;
    }
    tiles > 1 ? block<2, Panels>(t, a, c, out, next) : block<1, Panels>(t, a, c, out, next);
    if (sticks_out) copy_c(inside, outside, last, columns);
  }

  static void multiply(const GemmTile& tile) {
    const std::int64_t blocks = padded_depth(tile.depth) / tile_depth;
    const std::int64_t pair_bytes = 2 * blocks * Terms * tile_bytes;
    const std::int64_t pairs = (tile.rows + 2 * tile_rows - 1) / (2 * tile_rows);
    Fetching next{tile.next};
    next.lines = fetch_share(tile.next, pairs * ((tile.panels + 1) / 2) * blocks * kFetches);
    const char* a = static_cast<const char*>(tile.a);
    for (std::int64_t r = 0; r < tile.rows; r += 2 * tile_rows, a += pair_bytes) {
      GemmTile t = tile;
      if (t.out == nullptr) {
        t.out = t.c;
        t.out_stride = t.c_stride;
      }
      for (; t.panels > 1; t.panels -= 2) {
        row_pair<2>(t, a, r, next);
        t.b = static_cast<const char*>(t.b) + 2 * t.panel_bytes;
        t.c += 2 * 16;
        t.out += 2 * 16;
      }
      if (t.panels > 0) row_pair<1>(t, a, r, next);
    }
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
    kernels.equal_depths = true;
    kernels.panels = Terms > 1 ? 48 : 24;
    kernels.item_panels = Terms > 1 ? 48 : 24;
    kernels.items_per_thread = 2;
    kernels.stream_panels = 8;
    kernels.depth_block = depth_block;
    kernels.b_terms = Terms;
    kernels.packs_a = true;
    kernels.writes_out = true;
    kernels.expand_rows = std::int64_t{1} << 30;
    kernels.a_bytes = a_bytes;
    kernels.pack_a = pack_a;
    kernels.split_panels = split_panels_into<Terms, Split>;
    kernels.multiply = multiply;
    kernels.begin = begin;
    kernels.end = Tiles::release;
    return kernels;
  }
};

/// bf16 terms of one operand: 3 hold all 24 bits of fp32, 1 is `fast`.
constexpr int kExactTerms = 3;
constexpr int kFastTerms = 1;

}  // namespace headspark
