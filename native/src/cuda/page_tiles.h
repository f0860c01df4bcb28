// Pages of one key/value head in shared memory, read 16 bytes at a time as they lie: keys by depth,
// values by key. Products with the keys take depths in the order of attention_tiles.h, so scores
// have the same bits.
#pragma once

#include <type_traits>

#include "cuda/attention_softmax.h"
#include "cuda/attention_tiles.h"

namespace headspark::cuda {

/// What pages hold (kv_page_type): the one term that is multiplied, or floats that are split.
template <int Terms>
using PageElement = std::conditional_t<Terms == 1, Bf16, float>;
constexpr DType page_type(int terms) {
  return terms == 1 ? DType::bf16 : DType::f32;
}

/// The pages of one row and key/value head, and what of them is read.
struct PageList {
  float* const* pages;  ///< of the row
  KvPageLayout layout;
  std::int32_t kv_head;
  std::int32_t stored;  ///< tokens; what lies behind them may be anything
  std::int32_t end;     ///< the page after the last that is read
  int chunks;           ///< of columns: all of the keys are read, and of the values one
  int value_chunk;

  HEADSPARK_DEVICE const float* head(std::int32_t page) const {
    return element_in<const float>(pages[page], kv_head * layout.head_stride(), layout.type);
  }
};

/// The keys of a page as terms, [term][depth][32 + 8]: rows of 80 bytes keep ldmatrix free of
/// conflicts.
template <int Terms, int Width>
struct KeyTile {
  static constexpr int kStride = kStepKeys + 8;

  SharedArray<Bf16> data;
  int begin;  ///< element where it begins

  static constexpr int elements() { return Terms * Width * kStride; }
  /// All threads of the block fill it with columns from `first` on, and ask for AtOnce pieces at
  /// once. Keys that are not stored may hold anything.
  template <int AtOnce>
  HEADSPARK_DEVICE void load(const float* head, std::int64_t head_dim, std::int64_t first) const {
    constexpr int kPieces = kStepKeys / 4;
    move_pieces<AtOnce>(
        Width * kPieces,
        [&](int i) {
          const std::int64_t d = first + i / kPieces;
          if (d >= head_dim) return Four{0.0f, 0.0f, 0.0f, 0.0f};
          return load_four(head + d * kStepKeys + i % kPieces * 4);
        },
        [&](int i, const Four& values) {
          store_terms<Terms>(data, begin + i / kPieces * kStride + i % kPieces * 4, Width * kStride,
                             values);
        });
  }
  /// Begins to copy the same of bf16.
  HEADSPARK_DEVICE void begin_copy(const Bf16* head, std::int64_t head_dim,
                                   std::int64_t first) const {
    constexpr int kPieces = kStepKeys / 8;
    const Bf16* const from = head + first * kStepKeys;
    const std::int64_t depths = head_dim - first;
    for (int i = thread_index(); i < Width * kPieces; i += block_threads()) {
      const bool exists = i / kPieces < depths;
      copy_async(data, begin + i / kPieces * kStride + i % kPieces * 8,
                 exists ? from + i * 8 : head, exists ? 16 : 0);
    }
  }
  HEADSPARK_DEVICE SharedMatrix term(int number) const {
    return {data, kStride, begin + number * Width * kStride};
  }
};

/// Columns of a page's values, into a tile of 32 rows; zeros from key `keys` on.
template <int AtOnce, int Terms, int Width>
HEADSPARK_DEVICE void load_values(const Tile<Terms, Width>& tile, const float* head,
                                  const KvPageLayout& layout, std::int64_t first, int keys) {
  constexpr int kPieces = Width / 4;
  const float* const values = head + layout.value_offset();
  move_pieces<AtOnce>(
      kStepKeys * kPieces,
      [&](int i) {
        const int key = i / kPieces;
        const std::int64_t d = first + i % kPieces * 4;
        if (key >= keys || d >= layout.padded_dim()) return Four{0.0f, 0.0f, 0.0f, 0.0f};
        return load_four(values + key * layout.padded_dim() + d);
      },
      [&](int i, const Four& piece) {
        store_terms<Terms>(tile.data,
                           tile.begin + i / kPieces * Tile<Terms, Width>::kStride + i % kPieces * 4,
                           kStepKeys * Tile<Terms, Width>::kStride, piece);
      });
}
/// Begins to copy the same of bf16.
template <int Width>
HEADSPARK_DEVICE void begin_values(const Tile<1, Width>& tile, const Bf16* head,
                                   const KvPageLayout& layout, std::int64_t first, int keys) {
  constexpr int kPieces = Width / 8;
  const Bf16* const from = head + layout.value_offset() + first;
  const auto padded = static_cast<int>(layout.padded_dim());
  const int columns = padded - static_cast<int>(first);
  for (int i = thread_index(); i < kStepKeys * kPieces; i += block_threads()) {
    const int key = i / kPieces;
    const int d = i % kPieces * 8;
    const bool exists = key < keys && d < columns;
    copy_async(tile.data, tile.begin + key * Tile<1, Width>::kStride + d,
               exists ? from + key * padded + d : head, exists ? 16 : 0);
  }
}

/// A block's way through pages, chunk by chunk of their columns. bf16 is copied past the registers,
/// each step's tiles while those of the step before are multiplied; of floats a thread asks for
/// AtOnce pieces at once.
template <int Terms, int Width, int AtOnce>
struct PageWalk {
  static constexpr bool kCopies = Terms == 1;
  static constexpr int kStages = kCopies ? 2 : 1;
  static constexpr int kValueElements = Tile<Terms, Width>::elements(kStepKeys);

  PageList list;
  SharedArray<Bf16> key_data;
  SharedArray<Bf16> value_data;
  const float* ahead;  ///< the page that is copied next
  std::int32_t next_page;
  int next_chunk;
  int steps;  ///< that were begun

  static constexpr int elements() {
    return kStages * (KeyTile<Terms, Width>::elements() + kValueElements);
  }
  HEADSPARK_DEVICE static PageWalk take(SharedMemory& memory) {
    const auto keys = memory.take<Bf16>(kStages * KeyTile<Terms, Width>::elements());
    return {{}, keys, memory.take<Bf16>(kStages * kValueElements), nullptr, 0, 0, 0};
  }
  /// Before the first step, which is `page`, a page that is read.
  HEADSPARK_DEVICE void begin(const PageList& pages, std::int32_t page) {
    list = pages;
    next_page = page;
    if constexpr (kCopies) {
      ahead = list.head(page);
      copy_next();
    }
  }
  /// Has the next chunk of a page's keys in shared memory, with the first one also the values; no
  /// thread uses those of the step before any more. What the caller stores there now may be used
  /// after a barrier, and so may what is split.
  HEADSPARK_DEVICE void step(std::int32_t page, int chunk) {
    ++steps;
    if constexpr (kCopies) {
      end_copies();
      copy_next();
    } else {
      const float* const head = list.head(page);
      sync_threads();
      if (chunk == 0) {
        load_values<AtOnce>(values(page), head, list.layout, list.value_chunk * std::int64_t{Width},
                            list.stored - page * kStepKeys);
      }
      keys().template load<AtOnce>(head, list.layout.head_dim, chunk * std::int64_t{Width});
    }
  }
  HEADSPARK_DEVICE KeyTile<Terms, Width> keys() const { return keys_of(steps - 1); }
  HEADSPARK_DEVICE Tile<Terms, Width> values(std::int32_t page) const {
    return {value_data, kStepKeys, page % kStages * kValueElements};
  }

 private:
  HEADSPARK_DEVICE KeyTile<Terms, Width> keys_of(int number) const {
    return {key_data, number % kStages * KeyTile<Terms, Width>::elements()};
  }
  // Where the page after it lies is asked for at once: its copy shall not wait for that.
  HEADSPARK_DEVICE void copy_next() {
    if (next_page >= list.end) return;
    const auto* const head = reinterpret_cast<const Bf16*>(ahead);
    keys_of(steps).begin_copy(head, list.layout.head_dim, next_chunk * std::int64_t{Width});
    if (next_chunk == 0) {
      begin_values(values(next_page), head, list.layout, list.value_chunk * std::int64_t{Width},
                   list.stored - next_page * kStepKeys);
    }
    commit_copies();
    if (++next_chunk < list.chunks) return;
    next_chunk = 0;
    if (++next_page < list.end) ahead = list.head(next_page);
  }
};

/// sums[n] += left keys for 16 rows and 8 * Pieces keys from `key` on.
template <int Terms, int Width, int Pieces, typename Left>
HEADSPARK_DEVICE void add_page_scores(FragmentC (&sums)[Pieces], const Left& left,
                                      const KeyTile<Terms, Width>& keys, int key) {
  FragmentC c[Pieces] = {};
  const auto add_depths = [&](int i, const SharedMatrix& right, int depth) {
    if constexpr (Pieces == 1) {
      FragmentB b[2];
      right.right_by_long_depth(b, key, depth);
      multiply_add(c[0], left.at(i, depth), b[0]);
      multiply_add(c[0], left.at(i, depth + 16), b[1]);
    } else {
      HEADSPARK_UNROLL
      for (int step = 0; step < 2; ++step) {
        const FragmentA a = left.at(i, depth + 16 * step);
        HEADSPARK_UNROLL
        for (int n = 0; n < Pieces; n += 2) {
          FragmentB b[2];
          right.right_by_depth(b, key + 8 * n, depth + 16 * step);
          multiply_add(c[n], a, b[0]);
          multiply_add(c[n + 1], a, b[1]);
        }
      }
    }
  };
  for_products<Terms, Terms>([&](int i, int j) {
    if constexpr (Left::kHeld) {
      HEADSPARK_UNROLL
      for (int depth = 0; depth < Width; depth += 32) add_depths(i, keys.term(j), depth);
    } else {
      HEADSPARK_ROLL
      for (int depth = 0; depth < Width; depth += 32) add_depths(i, keys.term(j), depth);
    }
  });
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) sums[n].r[r] += c[n].r[r];
  }
}

}  // namespace headspark::cuda
