// The way of a product over its register tiles, the same for fp32 and for bf16 dot products.
#pragma once

#include "cpu/kernels/fetch.h"

namespace headspark {

/// Lines asked for at once that do not wait for each other. A tile that owes more asks for them at
/// every kFetchDepths-th depth.
constexpr std::int64_t kLinesAtOnce = 8;
constexpr std::int64_t kFetchDepths = 16;

/// `Block` is the product of one tile: tile_rows, tile_panels, row_panels (panels of one or two
/// rows), row_bytes (from one row of A to the next) and `template <int Rows, int Panels, bool
/// Fetches> run(tile, next, share)`, which asks for `share` lines of `next` at every
/// kFetchDepths-th depth where it Fetches. It is not inlined: many tiles in one function are too
/// much for gcc's registers.
template <typename Block>
struct RegisterTiles {
  static void skip_panels(GemmTile& t, std::int64_t panels) {
    t.panels -= panels;
    t.b = static_cast<const char*>(t.b) + panels * t.panel_bytes;
    t.c += panels * 16;
  }

  template <int Rows, int Panels, bool Fetches>
  static void tile_of(const GemmTile& t, std::int64_t rows, Fetch& next, std::int64_t share) {
    if constexpr (Rows > 0) {
      if (rows == Rows) return Block::template run<Rows, Panels, Fetches>(t, next, share);
      tile_of<Rows - 1, Panels, Fetches>(t, rows, next, share);
    }
  }

  static std::int64_t row_tiles(const GemmTile& t) {
    return (t.rows + Block::tile_rows - 1) / Block::tile_rows;
  }

  // Tiles of nearly the same height: five of 12 rows and one of 4 would leave the last one waiting
  // for the latency of its few chains.
  template <int Panels, bool Fetches>
  static void all_rows(GemmTile t, Fetch& next, std::int64_t share) {
    std::int64_t tiles = row_tiles(t);
    for (std::int64_t left = t.rows; tiles > 0; --tiles) {
      if constexpr (!Fetches) fetch_lines(next, share);
      const std::int64_t rows = (left + tiles - 1) / tiles;
      tile_of<Block::tile_rows, Panels, Fetches>(t, rows, next, share);
      t.a = static_cast<const char*>(t.a) + rows * Block::row_bytes;
      t.c += rows * t.c_stride;
      left -= rows;
    }
  }

  template <bool Fetches>
  static void all_panels(GemmTile t, Fetch& next, std::int64_t share) {
    for (; t.panels >= Block::tile_panels; skip_panels(t, Block::tile_panels)) {
      all_rows<Block::tile_panels, Fetches>(t, next, share);
    }
    if constexpr (Block::tile_panels > 1) {
      if (t.panels > 0) all_rows<1, Fetches>(t, next, share);
    }
  }

  // One or two rows keep few chains alive in a tile of tile_panels: all panels at once hide the
  // latency of the multiply-add. The chain of an element is the same.
  template <int Panels>
  static void few_rows(const GemmTile& t, Fetch& next, std::int64_t share) {
    if constexpr (Panels > 0) {
      if (t.panels < Panels) return few_rows<Panels - 1>(t, next, share);
      tile_of<2, Panels, true>(t, t.rows, next, share);
    }
  }

  static void multiply(const GemmTile& tile) {
    GemmTile t = tile;
    Fetch next = t.next;
    const std::int64_t at_once = t.rows <= 2 ? Block::row_panels : Block::tile_panels;
    const std::int64_t tiles = row_tiles(t) * ((t.panels + at_once - 1) / at_once);
    const std::int64_t share = fetch_share(next, tiles);
    const std::int64_t fetches = 1 + (t.depth - 1) / kFetchDepths;  // one where there is no depth
    const std::int64_t part = (share + fetches - 1) / fetches;
    if (t.rows <= 2) {
      for (; t.panels > 0; skip_panels(t, t.panels < at_once ? t.panels : at_once)) {
        few_rows<Block::row_panels>(t, next, part);
      }
    } else if (share > kLinesAtOnce) {
      all_panels<true>(t, next, part);
    } else {
      all_panels<false>(t, next, share);
    }
  }
};

}  // namespace headspark
