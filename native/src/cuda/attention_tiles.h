// What attention forward and backward share: which (row, head, tile) a block has, how rows of
// queries, keys and values come to shared memory as bf16 terms, and the product of two such tiles.
#pragma once

#include "cuda/alignment.h"
#include "cuda/head_terms.h"
#include "headspark/ops/attention.h"
#include "headspark/ops/paged_attention.h"

namespace headspark::cuda {

/// Rows of the tile that a warp owns.
constexpr int kWarpRows = 16;

/// One query head of one row. All of it is held while a kernel runs, so in 32 bits: wide heads
/// leave no registers to spare.
struct HeadAt {
  AttentionShape shape;
  std::int32_t head;
  std::int32_t kv_head;
  std::int32_t row;
  std::int32_t begin;   ///< its first own token
  std::int32_t own;     ///< own tokens
  std::int32_t prefix;  ///< tokens before them
  std::int32_t prefix_begin;
  std::int32_t first_query;  ///< own tokens before it are keys and values only

  HEADSPARK_DEVICE bool has_query(std::int64_t i) const { return i >= first_query && i < own; }
  HEADSPARK_DEVICE std::int64_t query(std::int64_t i) const {
    return ((begin + i) * shape.heads + head) * shape.head_dim;
  }
};

HEADSPARK_DEVICE HeadAt head_at(const AttentionShape& shape, const RowLayout& layout,
                                std::int64_t item) {
  const auto row = static_cast<std::int32_t>(item / shape.heads);
  const std::int32_t prefix = layout.prefix(row);
  const bool stored = prefix > 0 && layout.prefix_begin != nullptr;
  const auto head = static_cast<std::int32_t>(item % shape.heads);
  return {shape,
          head,
          static_cast<std::int32_t>(head / (shape.heads / shape.kv_heads)),
          row,
          layout.row_begin[row],
          layout.row_begin[row + 1] - layout.row_begin[row],
          prefix,
          stored ? layout.prefix_begin[row] : 0,
          layout.first_query != nullptr ? layout.first_query[row] : 0};
}

/// Keys or values as terms: own tokens and the store of prefixes.
struct TermStore {
  HeadTerms own;
  HeadTerms prefix;
};

/// Keys or values of a head's context as terms, by their position.
struct ContextTerms {
  HeadRows prefix;
  HeadRows own;

  HEADSPARK_DEVICE static ContextTerms of(const HeadAt& at, const TermStore& store) {
    return {store.prefix.rows(at.prefix_begin, at.kv_head, 0, at.prefix),
            store.own.rows(at.begin, at.kv_head, at.prefix, at.own)};
  }
};

/// Columns [begin, begin + Width) of a head, of which those below head_dim exist.
struct Columns {
  std::int64_t begin;
  std::int64_t head_dim;
  bool four;  ///< rows are aligned to 16 bytes
};

/// Four of a row of head_dim floats; zeros where there is none.
HEADSPARK_DEVICE Four read_columns(const float* row, const Columns& columns, std::int64_t d) {
  if (row == nullptr || d >= columns.head_dim) return {0.0f, 0.0f, 0.0f, 0.0f};
  const float* p = row + d;
  if (columns.four) return load_four(p);
  Four v{p[0], 0.0f, 0.0f, 0.0f};
  if (d + 1 < columns.head_dim) v.y = p[1];
  if (d + 2 < columns.head_dim) v.z = p[2];
  if (d + 3 < columns.head_dim) v.w = p[3];
  return v;
}

/// Calls store(i, read(i)) for all pieces of the block, a thread each. It asks for AtOnce pieces
/// before it waits for the first.
template <int AtOnce, typename Read, typename Store>
HEADSPARK_DEVICE void move_pieces(int pieces, const Read& read, const Store& store) {
  const int threads = block_threads();
  for (int first = thread_index(); first < pieces; first += AtOnce * threads) {
    Four values[AtOnce];
    HEADSPARK_UNROLL
    for (int j = 0; j < AtOnce; ++j) {
      if (first + j * threads < pieces) values[j] = read(first + j * threads);
    }
    HEADSPARK_UNROLL
    for (int j = 0; j < AtOnce; ++j) {
      if (first + j * threads < pieces) store(first + j * threads, values[j]);
    }
  }
}

/// `rows` rows of Width columns as terms in shared memory, [term][row][Width + 8].
template <int Terms, int Width>
struct Tile {
  static constexpr int kStride = Width + 8;

  SharedArray<Bf16> data;
  int rows;
  int begin;  ///< element where it begins

  HEADSPARK_DEVICE static Tile take(SharedMemory& memory, int rows) {
    return {memory.take<Bf16>(elements(rows)), rows, 0};
  }
  static constexpr int elements(int rows) { return Terms * rows * kStride; }

  /// All threads of the block fill it; row_at(r) is where row r lies, null: zeros. Neighbouring
  /// threads take neighbouring columns of a row.
  template <int AtOnce, typename Rows>
  HEADSPARK_DEVICE void load(const Rows& row_at, const Columns& columns) const {
    constexpr int kPieces = Width / 4;
    const auto column_of = [](int i) { return i % kPieces * 4; };
    move_pieces<AtOnce>(
        rows * kPieces,
        [&](int i) {
          return read_columns(row_at(i / kPieces), columns, columns.begin + column_of(i));
        },
        [&](int i, const Four& values) {
          store_terms<Terms>(data, begin + i / kPieces * kStride + column_of(i), rows * kStride,
                             values);
        });
  }
  /// Begins to copy rows of terms, the first of which has this number, from column `first` on. A
  /// thread has eight columns of some rows, which are a multiple of a quarter of the threads.
  HEADSPARK_DEVICE void begin_copy(const HeadRows& from, std::int32_t number, int first,
                                   int width) const {
    const int column = first + own_column();
    const HeadRows own = from.from_column(column, column < width);
    for_own_rows([&](int r) { copy_row(own.row(number + r), r, own.term_stride); });
  }
  /// The same of a context, from this position on.
  HEADSPARK_DEVICE void begin_copy(const ContextTerms& context, std::int32_t position, int first,
                                   int width) const {
    if (position >= context.own.begin) return begin_copy(context.own, position, first, width);
    const int column = first + own_column();
    const HeadRows own = context.own.from_column(column, column < width);
    const HeadRows prefix = context.prefix.from_column(column, column < width);
    for_own_rows([&](int r) {
      const bool stored = position + r < own.begin;
      copy_row((stored ? prefix : own).row(position + r), r, (stored ? prefix : own).term_stride);
    });
  }
  HEADSPARK_DEVICE SharedMatrix term(int number) const {
    return {data, kStride, begin + number * rows * kStride};
  }

 private:
  static constexpr int kPieces = Width / 8;

  HEADSPARK_DEVICE static int own_column() { return thread_index() % kPieces * 8; }
  template <typename Copy>
  HEADSPARK_DEVICE void for_own_rows(const Copy& copy) const {
    const int step = block_threads() / kPieces;
    HEADSPARK_ROLL
    for (int r = thread_index() / kPieces; r < rows; r += kPieces / 4 * step) {
      HEADSPARK_UNROLL
      for (int i = 0; i < kPieces / 4; ++i) copy(r + i * step);
    }
  }
  HEADSPARK_DEVICE void copy_row(const TermRow& row, int r, std::int64_t term_stride) const {
    HEADSPARK_UNROLL
    for (int t = 0; t < Terms; ++t) {
      copy_async(data, begin + (t * rows + r) * kStride + own_column(), row.data + t * term_stride,
                 row.exists ? 16 : 0);
    }
  }
};

/// 16 rows of a tile as left operands, read from shared memory where they are used.
template <int Terms, int Width>
struct SharedRows {
  static constexpr bool kHeld = false;
  Tile<Terms, Width> tile;
  int row;  ///< the first

  HEADSPARK_DEVICE FragmentA at(int term, int depth) const {
    return tile.term(term).left(row, depth);
  }
};

/// The same in registers, for rows that are multiplied again and again.
template <int Terms, int Width>
struct HeldRows {
  static constexpr bool kHeld = true;
  FragmentA a[Terms][Width / 16];

  HEADSPARK_DEVICE void hold(const Tile<Terms, Width>& tile) {
    HEADSPARK_UNROLL
    for (int i = 0; i < Terms; ++i) {
      HEADSPARK_UNROLL
      for (int k = 0; k < Width / 16; ++k) {
        a[i][k] = tile.term(i).left(warp_index() * kWarpRows, 16 * k);
      }
    }
  }
  HEADSPARK_DEVICE const FragmentA& at(int term, int depth) const { return a[term][depth / 16]; }
};

/// In place of HeldRows where registers leave no room.
struct NothingHeld {
  static constexpr bool kHeld = false;

  template <typename Rows>
  HEADSPARK_DEVICE void hold(const Rows&) const {}
};

/// The warp's rows of a tile as left operands: those that are held, else the tile's.
template <int Terms, int Width>
HEADSPARK_DEVICE const HeldRows<Terms, Width>& left_rows(const HeldRows<Terms, Width>& held,
                                                         const Tile<Terms, Width>&) {
  return held;
}
template <int Terms, int Width>
HEADSPARK_DEVICE SharedRows<Terms, Width> left_rows(const NothingHeld&,
                                                    const Tile<Terms, Width>& tile) {
  return {tile, warp_index() * kWarpRows};
}

/// Until this thread's copies have arrived, and every thread is here.
HEADSPARK_DEVICE void end_copies() {
  wait_copies<0>();
  sync_threads();
}

/// c[n] += one term of `left` times one of `right`, over 16 depths.
template <int Pieces>
HEADSPARK_DEVICE void add_depths(FragmentC (&c)[Pieces], const FragmentA& left,
                                 const SharedMatrix& right, int depth) {
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; n += 2) {
    FragmentB b[2];
    right.right_by_column(b, 8 * n, depth);
    multiply_add(c[n], left, b[0]);
    multiply_add(c[n + 1], left, b[1]);
  }
}

/// c[n] = left right ᵀ for the warp's 16 rows of `left` and all 8 * Pieces rows of `right`. The
/// tensor core begins at zero: its cut-off sums stay short.
template <int Terms, int Width, int Pieces, typename Left>
HEADSPARK_DEVICE void multiply_scores(FragmentC (&c)[Pieces], const Left& left,
                                      const Tile<Terms, Width>& right) {
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) c[n] = {};
  for_products<Terms, Terms>([&](int i, int j) {
    if constexpr (Left::kHeld) {
      HEADSPARK_UNROLL
      for (int depth = 0; depth < Width; depth += 16) {
        add_depths(c, left.at(i, depth), right.term(j), depth);
      }
    } else {
      HEADSPARK_ROLL
      for (int depth = 0; depth < Width; depth += 16) {
        add_depths(c, left.at(i, depth), right.term(j), depth);
      }
    }
  });
}

/// The same, added to `sums`.
template <int Terms, int Width, int Pieces, typename Left>
HEADSPARK_DEVICE void add_scores(FragmentC (&sums)[Pieces], const Left& left,
                                 const Tile<Terms, Width>& right) {
  FragmentC c[Pieces];
  multiply_scores(c, left, right);
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) sums[n].r[r] += c[n].r[r];
  }
}

/// Weights [16 x 8 * Pieces] of a warp, from the layout of a product to that of a left operand.
template <int Terms, int Pieces>
struct LeftTerms {
  FragmentA a[Terms][Pieces / 2];

  HEADSPARK_DEVICE explicit LeftTerms(const FragmentC (&w)[Pieces]) {
    HEADSPARK_UNROLL
    for (int k = 0; k < Pieces / 2; ++k) {
      HEADSPARK_UNROLL
      for (int r = 0; r < 4; ++r) {
        const FragmentC& c = w[2 * k + r / 2];
        const TermPair<Terms> pair = split_pair<Terms>(c.r[r % 2 * 2], c.r[r % 2 * 2 + 1]);
        HEADSPARK_UNROLL
        for (int i = 0; i < Terms; ++i) a[i][k].r[r] = pair.term[i];
      }
    }
  }
};

/// sums[n] += weights right, for 8 * Columns columns of `right`. One term is summed by the tensor
/// core alone: what it cuts off is far below a bf16's last bit.
template <int Terms, int Width, int Pieces, int Columns>
HEADSPARK_DEVICE void add_weighted(FragmentC (&sums)[Columns],
                                   const LeftTerms<Terms, Pieces>& weights,
                                   const Tile<Terms, Width>& right, int first_column = 0) {
  HEADSPARK_UNROLL
  for (int n = 0; n < Columns; n += 2) {
    // Keeps the compiler from loading all of `right` at once: it would run out of registers.
    if (n > 0 && n % 8 == 0) sync_warp();
    FragmentC c[2] = {};
    for_products<Terms, Terms>([&](int i, int j) {
      HEADSPARK_UNROLL
      for (int k = 0; k < Pieces / 2; ++k) {
        FragmentB b[2];
        right.term(j).right_by_depth(b, first_column + 8 * n, 16 * k);
        HEADSPARK_UNROLL
        for (int half = 0; half < 2; ++half) {
          multiply_add(Terms == 1 ? sums[n + half] : c[half], weights.a[i][k], b[half]);
        }
      }
    });
    if constexpr (Terms > 1) {
      HEADSPARK_UNROLL
      for (int half = 0; half < 2; ++half) {
        HEADSPARK_UNROLL
        for (int r = 0; r < 4; ++r) sums[n + half].r[r] += c[half].r[r];
      }
    }
  }
}

/// sums[n] *= factor, of rows g and g + 8 of the warp one each; nearly always they are 1.
template <int Columns>
HEADSPARK_DEVICE void scale_rows(FragmentC (&sums)[Columns], const float (&factor)[2]) {
  if (!any_lane(factor[0] != 1.0f || factor[1] != 1.0f)) return;
  HEADSPARK_UNROLL
  for (int n = 0; n < Columns; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) sums[n].r[r] *= factor[r / 2];
  }
}

/// Chunks of a head that are in shared memory at once, and how many there are.
inline int chunk_width(std::int64_t head_dim) {
  if (head_dim <= 32) return 32;
  return head_dim <= 64 || head_dim > 128 ? 64 : 128;
}
inline int chunk_count(std::int64_t head_dim) {
  const int width = chunk_width(head_dim);
  return static_cast<int>((head_dim + width - 1) / width);
}

/// A kernel for one number of terms and one width of chunks, and how it is launched.
template <typename Kernel>
struct AttentionChoice {
  Kernel kernel;
  int warps;
  int shared_bytes;
};

/// Warps of a block: what fits into kLargestShared, and no more than the longest row has use for.
template <int Terms, int Width>
int warps_for(std::int32_t longest_row) {
  int warps = Terms > 1 && Width > 64 ? 2 : 4;
  while (warps > 1 && longest_row <= warps / 2 * kWarpRows) warps /= 2;
  return warps;
}

/// choose<Terms, Width>() for this precision and width of heads.
template <typename Choose>
auto choose_tiles(Precision precision, std::int64_t head_dim, const Choose& choose) {
  const auto with_terms = [&]<int Terms>() {
    switch (chunk_width(head_dim)) {
      case 32:
        return choose.template operator()<Terms, 32>();
      case 64:
        return choose.template operator()<Terms, 64>();
      default:
        return choose.template operator()<Terms, 128>();
    }
  };
  return precision == Precision::fast ? with_terms.template operator()<1>()
                                      : with_terms.template operator()<3>();
}

/// Whether rows of head_dim floats from these pointers on may be read four at a time.
template <typename... Pointers>
bool reads_four(std::int64_t head_dim, Pointers... pointers) {
  return head_dim % 4 == 0 && (aligned_to(16, pointers) && ...);
}
/// Whether two at a time.
template <typename... Pointers>
bool pairs_aligned(std::int64_t head_dim, Pointers... pointers) {
  return head_dim % 2 == 0 && (aligned_to(8, pointers) && ...);
}

}  // namespace headspark::cuda
