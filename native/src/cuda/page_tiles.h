// A page of one key/value head in shared memory, read 16 bytes at a time as it lies: keys by depth,
// values by key. Products with the keys take depths in the order of attention_tiles.h, so scores
// have the same bits.
#pragma once

#include "cuda/attention_softmax.h"
#include "cuda/attention_tiles.h"

namespace headspark::cuda {

/// Pieces of a page that a thread asks for at once: a decode step lives from the bytes under way.
constexpr int kPagePieces = 4;

/// One key/value head of a page, and which of its columns.
struct PageHead {
  const float* data;
  KvPageLayout layout;
  std::int64_t first_column;  ///< of the chunk
  int keys;                   ///< that are stored; the others must not be read
};

/// The keys as terms, [term][depth][32 + 8]: rows of 80 bytes keep ldmatrix free of conflicts.
template <int Terms, int Width>
struct KeyTile {
  static constexpr int kStride = kStepKeys + 8;

  SharedArray<Bf16> data;

  static constexpr int elements() { return Terms * Width * kStride; }
  HEADSPARK_DEVICE static KeyTile take(SharedMemory& memory) {
    return {memory.take<Bf16>(elements())};
  }
  /// All threads of the block fill it. Keys that are not stored may hold anything.
  HEADSPARK_DEVICE void load(const PageHead& page) const {
    constexpr int kPieces = kStepKeys / 4;
    move_pieces<kPagePieces>(
        Width * kPieces,
        [&](int i) {
          const std::int64_t d = page.first_column + i / kPieces;
          if (d >= page.layout.head_dim) return Four{0.0f, 0.0f, 0.0f, 0.0f};
          return load_four(page.data + d * kStepKeys + i % kPieces * 4);
        },
        [&](int i, const Four& values) {
          store_terms<Terms>(data, i / kPieces * kStride + i % kPieces * 4, Width * kStride,
                             values);
        });
  }
  HEADSPARK_DEVICE SharedMatrix term(int number) const {
    return {data, kStride, number * Width * kStride};
  }
};

/// The values, into a tile of 32 rows; zeros where none is stored.
template <int Terms, int Width>
HEADSPARK_DEVICE void load_values(const Tile<Terms, Width>& tile, const PageHead& page) {
  constexpr int kPieces = Width / 4;
  const float* const values = page.data + page.layout.value_offset();
  move_pieces<kPagePieces>(
      kStepKeys * kPieces,
      [&](int i) {
        const int key = i / kPieces;
        const std::int64_t d = page.first_column + i % kPieces * 4;
        if (key >= page.keys || d >= page.layout.padded_dim()) return Four{0.0f, 0.0f, 0.0f, 0.0f};
        return load_four(values + key * page.layout.padded_dim() + d);
      },
      [&](int i, const Four& piece) {
        store_terms<Terms>(tile.data, i / kPieces * Tile<Terms, Width>::kStride + i % kPieces * 4,
                           kStepKeys * Tile<Terms, Width>::kStride, piece);
      });
}

/// sums[n] += left keys for the 16 rows of `left` from `row` on and 8 * Pieces keys from `key` on.
template <int Terms, int Width, int Pieces>
HEADSPARK_DEVICE void add_page_scores(FragmentC (&sums)[Pieces], const Tile<Terms, Width>& left,
                                      int row, const KeyTile<Terms, Width>& keys, int key) {
  FragmentC c[Pieces] = {};
  for_products<Terms, Terms>([&](int i, int j) {
    const SharedMatrix right = keys.term(j);
    HEADSPARK_ROLL
    for (int depth = 0; depth < Width; depth += 32) {
      const FragmentA a[2] = {left.term(i).left(row, depth), left.term(i).left(row, depth + 16)};
      if constexpr (Pieces == 1) {
        FragmentB b[2];
        right.right_by_long_depth(b, key, depth);
        multiply_add(c[0], a[0], b[0]);
        multiply_add(c[0], a[1], b[1]);
      } else {
        HEADSPARK_UNROLL
        for (int step = 0; step < 2; ++step) {
          HEADSPARK_UNROLL
          for (int n = 0; n < Pieces; n += 2) {
            FragmentB b[2];
            right.right_by_depth(b, key + 8 * n, depth + 16 * step);
            multiply_add(c[n], a[step], b[0]);
            multiply_add(c[n + 1], a[step], b[1]);
          }
        }
      }
    }
  });
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) sums[n].r[r] += c[n].r[r];
  }
}

}  // namespace headspark::cuda
