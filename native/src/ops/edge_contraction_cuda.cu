// The attribution sums on the GPU. Formulas: edge_contraction_cpu.cc. Blocks multiply pieces of an
// axis (cuda/contraction.h); sums of pieces are added in order afterwards, where an edge has a
// score. One launch serves up to 32 pairs of prompts and all layers of their destinations.
#include <algorithm>

#include "cuda/alignment.h"
#include "cuda/contraction.h"
#include "cuda/elements.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

// Sums of pieces that lie in device memory at once, unless one contraction has more.
constexpr std::int64_t kMostSums = std::int64_t{1} << 24;

constexpr int kHalf = kPartColumns / 2;

// Four elements of a row, of which `left` exist; the others are zero.
HEADSPARK_DEVICE Four read_row(const float* row, std::int64_t left) {
  return {left > 0 ? row[0] : 0.0f, left > 1 ? row[1] : 0.0f, left > 2 ? row[2] : 0.0f,
          left > 3 ? row[3] : 0.0f};
}

/// The next tile of an operand on its way through registers: Rows rows of kTileDepth. A thread has
/// four elements of some rows.
template <int Rows>
class RowTile {
 public:
  /// `rows` rows exist from `first` on; all others are zero.
  HEADSPARK_DEVICE RowTile(const float* first, std::int64_t stride, std::int32_t rows,
                           std::int64_t k)
      : next_(first + own_row() * stride + k + depth()),
        step_(kRowsAtOnce * stride),
        rows_(rows - own_row()) {}
  /// Reads the tile where it stands, of which `left` depths exist, and goes on to the next.
  HEADSPARK_DEVICE void read(std::int64_t left, bool four) {
    if (four && left >= kTileDepth) {
      read_rows([](const float* row) { return load_four(row); });
    } else {
      read_rows([&](const float* row) { return read_row(row, left - depth()); });
    }
    next_ += kTileDepth;
  }
  template <int Terms>
  HEADSPARK_DEVICE void store(const TermTiles& to) const {
    HEADSPARK_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      store_terms<Terms>(to.data, (own_row() + i * kRowsAtOnce) * kLongRow + depth(), to.elements,
                         values_[i]);
    }
  }

 private:
  static constexpr int kInRow = kTileDepth / 4;
  static constexpr int kRowsAtOnce = kContractionThreads / kInRow;
  static constexpr int kPieces = Rows / kRowsAtOnce;

  HEADSPARK_DEVICE static int own_row() { return long_row(thread_index() / kInRow); }
  HEADSPARK_DEVICE static int depth() { return thread_index() % kInRow * 4; }
  template <typename Read>
  HEADSPARK_DEVICE void read_rows(const Read& read) {
    const float* row = next_;
    HEADSPARK_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      values_[i] = i * kRowsAtOnce < rows_ ? read(row) : Four{0.0f, 0.0f, 0.0f, 0.0f};
      row += step_;
    }
  }

  Four values_[kPieces];
  const float* next_;  // of the first row
  std::int64_t step_;  // from one row of the thread to the next
  std::int32_t rows_;  // that exist from the first on
};

template <int Terms, int Fragments>
HEADSPARK_KERNEL(kContractionThreads, 1)
contraction_kernel(Contractions p) {
  constexpr int kRows = PartShape<Fragments>::kRows;
  const ContractionPart<Fragments> part;
  if (!part.has_edges(p)) return;
  const auto [operands, begin, end] = own_piece(p);

  SharedMemory memory;
  const TermTiles deltas{memory.take<Bf16>(Terms * kRows * kLongRow), kLongRow, kRows * kLongRow};
  const TermTiles gradients{memory.take<Bf16>(Terms * kContractionColumns * kLongRow), kLongRow,
                            kContractionColumns * kLongRow};
  const bool works = part.warp_has_edges(p);
  RowTile<kRows> next_delta(
      static_cast<const float*>(operands->delta) + part.first_source * p.delta_stride,
      p.delta_stride, p.sources - part.first_source, begin);
  RowTile<kContractionColumns> next_gradient(
      static_cast<const float*>(operands->gradient) + part.first_column * p.gradient_stride,
      p.gradient_stride, p.destinations - part.first_column, begin);
  const auto read = [&](std::int64_t k) {
    next_delta.read(end - k, p.four);
    next_gradient.read(end - k, p.four);
  };
  // Half of the warp's columns at a time: what begins at zero takes registers as well.
  FragmentC sums[2][Fragments][2] = {};
  read(begin);
  for (std::int64_t k = begin; k < end; k += kTileDepth) {
    sync_threads();  // everyone is done with the tile before
    next_delta.template store<Terms>(deltas);
    next_gradient.template store<Terms>(gradients);
    sync_threads();
    if (k + kTileDepth < end) read(k + kTileDepth);
    if (!works) continue;
    HEADSPARK_UNROLL
    for (int half = 0; half < 2; ++half) {
      add_tile_product<Terms, Terms, false>(sums[half], deltas, gradients,
                                            {part.at.row, part.at.column + half * kHalf});
    }
  }
  if (!works) return;
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) part.write(p, sums[half], part.at.column + half * kHalf);
}

// A thread has an edge of a contraction.
HEADSPARK_KERNEL(kElementThreads) sum_pieces_kernel(Contractions p) {
  const std::int64_t edges = static_cast<std::int64_t>(p.sources) * p.destinations;
  const std::int64_t i = element_index();
  if (i >= edges) return;
  const auto u = static_cast<std::int32_t>(i / p.destinations);
  const auto v = static_cast<std::int32_t>(i % p.destinations);
  if (u >= p.end(v)) return;
  const ContractionOperands& operands = p.each[block_y()];
  const float* const sums = p.sums + operands.first_piece * edges + i;
  float sum = 0.0f;
  for (std::int64_t piece = 0; piece * kPiece < operands.length; ++piece) {
    sum += sums[piece * edges];
  }
  operands.scores[u * p.scores_stride + v] += sum;
}

template <int Terms>
ContractionChoice float_contraction(std::int64_t sources) {
  return choose_part(sources, [](auto shape) -> ContractionChoice {
    return {
        &contraction_kernel<Terms, decltype(shape)::kFragments>, shape.kRows,
        Terms * (shape.kRows + kContractionColumns) * kLongRow * static_cast<int>(sizeof(Bf16))};
  });
}

ContractionChoice choose(DType type, Precision precision, std::int64_t sources) {
  if (type == DType::bf16) return bf16_contraction(sources);
  return term_count(precision) == 1 ? float_contraction<1>(sources) : float_contraction<3>(sources);
}

/// Whether one launch may serve both.
bool alike(const EdgeContraction& a, const EdgeContraction& b) {
  return a.sources == b.sources && a.destinations == b.destinations && a.ends == b.ends &&
         a.delta_stride == b.delta_stride && a.gradient_stride == b.gradient_stride &&
         a.scores_stride == b.scores_stride && a.type == b.type;
}

std::int64_t pieces_of(std::int64_t length) {
  return (length + kPiece - 1) / kPiece;
}

/// Contractions alike, with their destinations from `first` on, `count` of them.
Contractions launch_of(std::span<const EdgeContraction> contractions, std::int64_t first,
                       std::int64_t count) {
  const EdgeContraction& shape = contractions.front();
  Contractions kernel{};
  kernel.count = static_cast<std::int32_t>(contractions.size());
  kernel.destinations = static_cast<std::int32_t>(count);
  kernel.delta_stride = shape.delta_stride;
  kernel.gradient_stride = shape.gradient_stride;
  kernel.scores_stride = shape.scores_stride;
  kernel.has_ends = shape.ends != nullptr;
  for (std::int64_t v = 0; kernel.has_ends && v < count; ++v) {
    kernel.ends[v] = static_cast<std::int32_t>(shape.ends[first + v]);
  }
  kernel.sources =
      static_cast<std::int32_t>(kernel.has_ends ? shape.ends[first + count - 1] : shape.sources);
  kernel.four = shape.delta_stride % 4 == 0 && shape.gradient_stride % 4 == 0;
  std::int64_t piece = 0;
  for (std::int32_t i = 0; i < kernel.count; ++i) {
    const EdgeContraction& p = contractions[static_cast<std::size_t>(i)];
    const float* const gradient = element_in(p.gradient, first * p.gradient_stride, p.type);
    kernel.each[i] = {p.delta, gradient, p.scores + first, p.length,
                      static_cast<std::int32_t>(piece)};
    kernel.four = kernel.four && aligned_to(16, p.delta) && aligned_to(16, gradient);
    piece += pieces_of(p.length);
  }
  return kernel;
}

void run(OpDevice& device, const ContractionChoice& choice, Contractions kernel) {
  const ContractionOperands& last = kernel.each[kernel.count - 1];
  const std::int64_t pieces = last.first_piece + pieces_of(last.length);
  const std::int64_t edges = static_cast<std::int64_t>(kernel.sources) * kernel.destinations;
  kernel.sums = device.scratch_floats(ScratchSlot::contraction, pieces * edges);
  launch(device.stream(),
         {{blocks_for(kernel.sources, choice.rows),
           blocks_for(kernel.destinations, kContractionColumns), static_cast<int>(pieces)},
          kContractionThreads,
          choice.shared_bytes},
         choice.kernel, kernel);
  LaunchShape sums = element_shape(edges);
  sums.grid.y = kernel.count;
  launch(device.stream(), sums, &sum_pieces_kernel, kernel);
}

/// How many contractions from the first on one launch serves.
std::size_t at_once(std::span<const EdgeContraction> contractions) {
  const EdgeContraction& first = contractions.front();
  const std::int64_t edges = first.sources * first.destinations;
  std::int64_t sums = edges * pieces_of(first.length);
  std::size_t count = 1;
  while (count < contractions.size() && count < kMostAtOnce && alike(first, contractions[count])) {
    sums += edges * pieces_of(contractions[count].length);
    if (sums > kMostSums) break;
    ++count;
  }
  return count;
}

}  // namespace

void edge_contraction_cuda(const Context& context, std::span<const EdgeContraction> contractions) {
  OpDevice& device = op_device(context);
  while (!contractions.empty()) {
    const std::size_t count = at_once(contractions);
    const std::int64_t all = contractions.front().destinations;
    const std::int64_t most = contractions.front().ends != nullptr ? kMostEnds : all;
    for (std::int64_t v = 0; v < all; v += most) {
      const Contractions kernel = launch_of(contractions.first(count), v, std::min(most, all - v));
      if (kernel.sources == 0) continue;
      run(device, choose(contractions.front().type, context.precision, kernel.sources), kernel);
    }
    contractions = contractions.subspan(count);
  }
}

}  // namespace headspark
