// Tiles of up to 128 x 128, 32 depths at a time. Several are on their way from device to shared
// memory while one is multiplied (cp.async). Several terms begin their sums anew every 32 depths
// and add them in fp32; one term of each is summed by the tensor core alone, as cuBLASLt does. An
// element's bits do not depend on how large the tiles are.
#include "cuda/gemm_output.h"
#include "cuda/product_sums.h"
#include "cuda/product_tiles.h"
#include "cuda/term_gemm.h"

namespace headspark::cuda {
namespace {

struct TermGemm {
  GemmOutput out;
  TermRows a;
  GemmOperand b;
  std::int64_t depth;  // of a part
  int parts = 1;       // of the depth, each with rows of c of its own
};

/// A block's tile and its warps'. Wide: b is stored as [depth][column].
template <int TermsA, int TermsB, bool IsWide, int BlockRows, int BlockColumns, int PartRows,
          int PartColumns>
struct TileShape {
  static constexpr int kTermsA = TermsA;
  static constexpr int kTermsB = TermsB;
  static constexpr bool kWide = IsWide;
  static constexpr int kRows = BlockRows;
  static constexpr int kColumns = BlockColumns;
  static constexpr int kWarpRows = PartRows;
  static constexpr int kWarpColumns = PartColumns;
  static constexpr int kWarpsAcross = BlockColumns / PartColumns;
  static constexpr int kThreads = BlockRows / PartRows * kWarpsAcross * 32;
  static constexpr int kWideRow = BlockColumns + 8;
  static constexpr int kStrideB = IsWide ? kWideRow : kLongRow;
  static constexpr int kElementsA = BlockRows * kLongRow;  // of a term
  static constexpr int kElementsB = IsWide ? kTileDepth * kWideRow : BlockColumns * kLongRow;
  static constexpr int kElements = TermsA * kElementsA + TermsB * kElementsB;
  static constexpr int kBytes = kElements * 2;
  // What two blocks on a multiprocessor of sm_80 leave.
  static constexpr int kStages = kBytes * 4 <= (80 << 10) ? 4 : kBytes * 3 <= (99 << 10) ? 3 : 2;
};

/// What a thread copies of each tile: eight elements of some rows of both operands, always at the
/// same place of a row.
template <typename Shape>
class Copies {
 public:
  HEADSPARK_DEVICE Copies(const TermGemm& p, const SharedArray<Bf16>& to)
      : to_(to), left_(p.depth) {
    const std::int64_t first_depth = block_z() * p.depth;
    const int row = long_row(thread_index() / kPiecesA);
    column_ = thread_index() % kPiecesA * kElementsOf16Bytes;
    // Rows after the last are there as far as a tile reaches, undefined.
    const std::int64_t first = static_cast<std::int64_t>(block_x()) * Shape::kRows + row;
    a_ = reinterpret_cast<const Bf16*>(p.a.data) + first * p.a.stride + first_depth + column_;
    a_stride_ = p.a.stride;
    term_stride_ = p.a.term_stride;
    to_a_ = row * kLongRow + column_;
    const auto* const b = reinterpret_cast<const Bf16*>(p.b.data);
    const std::int64_t begin = static_cast<std::int64_t>(block_y()) * Shape::kColumns;
    b_stride_ = p.b.stride;
    b_term_stride_ = p.b.term_stride;
    columns_ = static_cast<std::int32_t>(
        p.out.columns - begin < Shape::kColumns ? p.out.columns - begin : Shape::kColumns);
    if constexpr (Shape::kWide) {
      row_ = thread_index() / kPiecesB;
      const int column = thread_index() % kPiecesB * kElementsOf16Bytes;
      valid_ = valid_bytes(columns_ - column);
      b_ = b + row_ * b_stride_ + begin + (valid_ > 0 ? column : 0);
      to_b_ = row_ * Shape::kWideRow + column;
    } else {
      row_ = row;
      b_ = b + begin * b_stride_ + first_depth + column_;
      to_b_ = to_a_;
    }
  }

  /// Begins to copy the next tile; nothing where there is none.
  HEADSPARK_DEVICE void begin(int stage) {
    if (left_ > 0) {
      const int at = stage * Shape::kElements;
      copy_a(at);
      HEADSPARK_UNROLL
      for (int t = 0; t < Shape::kTermsB; ++t) {
        copy_b(at + Shape::kTermsA * Shape::kElementsA + t * Shape::kElementsB,
               b_ + t * b_term_stride_);
      }
      a_ += kTileDepth;
      b_ += Shape::kWide ? kTileDepth * b_stride_ : kTileDepth;
      left_ -= kTileDepth;
    }
    commit_copies();
  }

 private:
  static constexpr int kPiecesA = kTileDepth / kElementsOf16Bytes;
  static constexpr int kPiecesB =
      (Shape::kWide ? Shape::kColumns : kTileDepth) / kElementsOf16Bytes;
  static constexpr int kRowsAtOnceA = Shape::kThreads / kPiecesA;
  static constexpr int kRowsAtOnceB = Shape::kThreads / kPiecesB;

  // What lies past the depth becomes zero.
  HEADSPARK_DEVICE void copy_a(int at) const {
    const bool exists = column_ < left_;
    HEADSPARK_UNROLL
    for (int t = 0; t < Shape::kTermsA; ++t) {
      HEADSPARK_UNROLL
      for (int r = 0; r < Shape::kRows; r += kRowsAtOnceA) {
        copy_async(to_, at + t * Shape::kElementsA + to_a_ + r * kLongRow,
                   exists ? a_ + t * term_stride_ + r * a_stride_ : a_ - column_, exists ? 16 : 0);
      }
    }
  }
  HEADSPARK_DEVICE void copy_b(int at, const Bf16* b) const {
    if constexpr (Shape::kWide) {
      HEADSPARK_UNROLL
      for (int r = 0; r < kTileDepth; r += kRowsAtOnceB) {
        const bool exists = row_ + r < left_;
        copy_async(to_, at + to_b_ + r * Shape::kWideRow,
                   exists ? b + r * b_stride_ : b - row_ * b_stride_, exists ? valid_ : 0);
      }
    } else {
      const int valid = valid_bytes(left_ - column_);
      HEADSPARK_UNROLL
      for (int r = 0; r < Shape::kColumns; r += kRowsAtOnceB) {
        // Columns past the last are those of the last once more: nobody writes them.
        const std::int32_t column = row_ + r < columns_ ? row_ + r : columns_ - 1;
        copy_async(to_, at + to_b_ + r * kLongRow,
                   (valid > 0 ? b : b - column_) + column * b_stride_, valid);
      }
    }
  }

  SharedArray<Bf16> to_;
  const Bf16* a_;
  const Bf16* b_;
  std::int64_t a_stride_;
  std::int64_t term_stride_;
  std::int64_t b_stride_;
  std::int64_t b_term_stride_;
  std::int64_t left_;  // depths that are not copied yet
  std::int32_t columns_;
  int column_;
  int row_;
  int to_a_;
  int to_b_;
  int valid_ = 0;
};

template <typename Shape>
HEADSPARK_KERNEL(Shape::kThreads, 256 / Shape::kThreads)
term_gemm_kernel(TermGemm p) {
  SharedMemory memory;
  const SharedArray<Bf16> tiles = memory.take<Bf16>(Shape::kStages * Shape::kElements);
  const WarpPlace at{warp_index() / Shape::kWarpsAcross * Shape::kWarpRows,
                     warp_index() % Shape::kWarpsAcross * Shape::kWarpColumns};
  Copies<Shape> copies(p, tiles);
  FragmentC sums[Shape::kWarpRows / 16][Shape::kWarpColumns / 8] = {};
  HEADSPARK_UNROLL
  for (int stage = 0; stage + 1 < Shape::kStages; ++stage) copies.begin(stage);
  int stage = 0;
  for (std::int64_t k = 0; k < p.depth; k += kTileDepth) {
    wait_copies<Shape::kStages - 2>();
    sync_threads();  // the tile is there, and everyone is done with the one before
    copies.begin(stage == 0 ? Shape::kStages - 1 : stage - 1);
    const TermTiles a{tiles, kLongRow, Shape::kElementsA, stage * Shape::kElements};
    const TermTiles b{tiles, Shape::kStrideB, Shape::kElementsB,
                      stage * Shape::kElements + Shape::kTermsA * Shape::kElementsA};
    add_tile_product<Shape::kTermsA, Shape::kTermsB, Shape::kWide>(sums, a, b, at);
    stage = stage + 1 == Shape::kStages ? 0 : stage + 1;
  }
  const std::int64_t first_row = static_cast<std::int64_t>(block_x()) * Shape::kRows;
  const std::int64_t first_column = static_cast<std::int64_t>(block_y()) * Shape::kColumns;
  GemmOutput out = p.out;
  out.c += block_z() * out.rows * out.c_stride;
  for_pairs(sums, at, [&](int row, int column, const Two& pair) {
    write_pair(out, first_row + row, first_column + column, pair);
  });
}

template <typename Shape>
void launch_tiles(OpDevice& device, const TermGemm& p) {
  launch(
      device.stream(),
      {{blocks_for(p.out.rows, Shape::kRows), blocks_for(p.out.columns, Shape::kColumns), p.parts},
       Shape::kThreads,
       Shape::kStages * Shape::kBytes},
      &term_gemm_kernel<Shape>, p);
}

// From so many large tiles on they fill the device; fewer leave more of it idle than small ones.
constexpr std::int64_t kEnoughTiles = 128;

constexpr int kLargeTile = 128;

bool fills_device(const TermGemm& p) {
  const std::int64_t tiles_down = blocks_for(p.out.rows, kLargeTile);
  return tiles_down * blocks_for(p.out.columns, kLargeTile) * p.parts >= kEnoughTiles;
}

template <int TermsA, int TermsB, bool Wide>
void launch_terms(OpDevice& device, const TermGemm& p, GemmTiles tiles) {
  const bool large = tiles == GemmTiles::large || (tiles == GemmTiles::fitting && fills_device(p));
  // Large tiles of several terms of both would not fit into shared memory three times.
  if constexpr (TermsB == 1) {
    if (large) {
      // Sums of a warp and what three terms add to them are 128 registers either way.
      constexpr int kWarpColumns = TermsA == 1 ? 64 : 32;
      return launch_tiles<TileShape<TermsA, 1, Wide, kLargeTile, kLargeTile, 64, kWarpColumns>>(
          device, p);
    }
  }
  launch_tiles<TileShape<TermsA, TermsB, Wide, 64, 64, 32, 32>>(device, p);
}

template <int TermsA, int TermsB>
void launch_layout(OpDevice& device, const TermGemm& p, GemmTiles tiles) {
  return p.b.by_depth ? launch_terms<TermsA, TermsB, true>(device, p, tiles)
                      : launch_terms<TermsA, TermsB, false>(device, p, tiles);
}

void launch_rows(OpDevice& device, const TermGemm& p, GemmTiles tiles) {
  if (p.a.terms == 1) return launch_layout<1, 1>(device, p, tiles);
  if (p.b.terms == 1) return launch_layout<3, 1>(device, p, tiles);
  return p.b.terms == 2 ? launch_layout<3, 2>(device, p, tiles)
                        : launch_layout<3, 3>(device, p, tiles);
}

}  // namespace

bool suits_terms(const GemmOperand& weight) {
  return aligned_to(16, weight.data) && weight.stride % kElementsOf16Bytes == 0 &&
         weight.term_stride % kElementsOf16Bytes == 0;
}

TermRows rows_as_terms(OpDevice& device, Precision precision, const Gemm& g) {
  if (g.a.terms.terms > 0) return g.a.terms;
  const TermRows rows = term_rows(device, term_count(precision), g.rows, g.depth);
  split_rows(device, g.a.values, g.a.stride, rows);
  return rows;
}

void term_gemm(OpDevice& device, Precision precision, const Gemm& g, GemmTiles tiles) {
  const TermRows a = rows_as_terms(device, precision, g);
  const std::int64_t parts = parts_of(g);
  if (parts == 1) return launch_rows(device, {output_of(g), a, g.b, g.depth}, tiles);
  ProductSums sums{.parts = parts, .part_stride = g.rows * g.columns};
  Gemm part;
  part.rows = g.rows;
  part.columns = part.c_stride = g.columns;
  part.c = device.scratch_floats(ScratchSlot::product_sums, parts * sums.part_stride);
  launch_rows(device, {output_of(part), a, g.b, g.depth / parts, static_cast<int>(parts)}, tiles);
  sums.data = part.c;
  finish_product(device, g, 0, g.rows, sums);
}

}  // namespace headspark::cuda
