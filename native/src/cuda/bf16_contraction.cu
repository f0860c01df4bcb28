// Edges of bf16 operands. Rows come by cp.async, 32 depths of each, several tiles ahead; the tensor
// core alone sums a piece. The bits are those of the kernel for fp32 in `fast`
// (ops/edge_contraction_cuda.cu), which rounds on the way.
#include "cuda/contraction.h"

namespace headspark::cuda {
namespace {

constexpr int kStages = 4;  // tiles in shared memory

/// What a thread copies of each tile of Rows rows: eight depths of some rows, `Begin` elements
/// behind where the tile begins.
template <int Rows, int Begin>
class RowCopies {
 public:
  /// `rows` rows exist from `first` on; all others become zero.
  HEADSPARK_DEVICE RowCopies(const Bf16* first, std::int64_t stride, std::int32_t rows,
                             std::int64_t k)
      : to_(Begin + own_row() * kLongRow + depth()),
        rows_(rows - own_row()),
        next_(first + (rows_ > 0 ? own_row() * stride : 0) + k),
        step_(kRowsAtOnce * stride) {}

  /// The next tile, of which `left` depths exist, more than none.
  HEADSPARK_DEVICE void copy(const SharedArray<Bf16>& to, int begin, std::int64_t left) {
    const int valid = left >= kTileDepth ? 16 : valid_bytes(left - depth());
    // A piece that does not exist may lie behind the operand.
    const Bf16* const row = next_ + (valid > 0 ? depth() : 0);
    HEADSPARK_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      if (Rows < kRowsAtOnce && own_row() >= Rows) continue;
      const bool exists = i * kRowsAtOnce < rows_;
      copy_async(to, begin + to_ + i * kRowsAtOnce * kLongRow, exists ? row + i * step_ : row,
                 exists ? valid : 0);
    }
    next_ += kTileDepth;
  }

 private:
  static constexpr int kInRow = kTileDepth / kElementsOf16Bytes;
  static constexpr int kRowsAtOnce = kContractionThreads / kInRow;
  static constexpr int kPieces = (Rows + kRowsAtOnce - 1) / kRowsAtOnce;

  HEADSPARK_DEVICE static int own_row() { return long_row(thread_index() / kInRow); }
  HEADSPARK_DEVICE static int depth() { return thread_index() % kInRow * kElementsOf16Bytes; }

  int to_;
  std::int32_t rows_;  // that exist from the thread's first on
  const Bf16* next_;   // of that row
  std::int64_t step_;  // to the thread's next row
};

template <int Fragments>
struct Tiles {
  static constexpr int kRows = PartShape<Fragments>::kRows;
  static constexpr int kGradients = kRows * kLongRow;  // where they begin
  static constexpr int kElements = (kRows + kContractionColumns) * kLongRow;
};

template <int Fragments>
HEADSPARK_KERNEL(kContractionThreads, 2)
bf16_contraction_kernel(Contractions p) {
  using Tile = Tiles<Fragments>;
  const ContractionPart<Fragments> part;
  if (!part.has_edges(p)) return;
  const ContractionPiece piece = own_piece(p);
  SharedMemory memory;
  const SharedArray<Bf16> tiles = memory.take<Bf16>(kStages * Tile::kElements);
  const bool works = part.warp_has_edges(p);
  RowCopies<Tile::kRows, 0> deltas(
      static_cast<const Bf16*>(piece.operands->delta) + part.first_source * p.delta_stride,
      p.delta_stride, p.sources - part.first_source, piece.begin);
  RowCopies<kContractionColumns, Tile::kGradients> gradients(
      static_cast<const Bf16*>(piece.operands->gradient) + part.first_column * p.gradient_stride,
      p.gradient_stride, p.destinations - part.first_column, piece.begin);
  auto left = static_cast<std::int32_t>(piece.end - piece.begin);  // depths not copied yet
  const auto begin_copies = [&](int stage) {
    if (left > 0) {
      deltas.copy(tiles, stage * Tile::kElements, left);
      gradients.copy(tiles, stage * Tile::kElements, left);
      left -= kTileDepth;
    }
    commit_copies();
  };
  HEADSPARK_UNROLL
  for (int stage = 0; stage + 1 < kStages; ++stage) begin_copies(stage);
  FragmentC sums[Fragments][kPartColumns / 8] = {};
  const auto depths = static_cast<std::int32_t>(piece.end - piece.begin);
  for (std::int32_t k = 0; k < depths; k += kTileDepth) {
    const int stage = k / kTileDepth % kStages;
    wait_copies<kStages - 2>();
    sync_threads();  // the tile is there, and everyone is done with the one before
    begin_copies((stage + kStages - 1) % kStages);
    if (!works) continue;
    const int begin = stage * Tile::kElements;
    const TermTiles a{tiles, kLongRow, Tile::kElements, begin};
    const TermTiles b{tiles, kLongRow, Tile::kElements, begin + Tile::kGradients};
    add_tile_product<1, 1, false>(sums, a, b, part.at);
  }
  if (works) part.write(p, sums, part.at.column);
}

}  // namespace

ContractionChoice bf16_contraction(std::int64_t sources) {
  return choose_part(sources, [](auto shape) -> ContractionChoice {
    constexpr int kFragments = decltype(shape)::kFragments;
    return {&bf16_contraction_kernel<kFragments>, shape.kRows,
            kStages * Tiles<kFragments>::kElements * static_cast<int>(sizeof(Bf16))};
  });
}

}  // namespace headspark::cuda
