// The attribution sums on the GPU. Formulas: edge_contraction_cpu.cc. A contraction is a product of
// few rows over a long axis: a block has 128 destinations, up to 128 sources and one piece of the
// axis, of fixed length; sums of pieces are added in order afterwards, where an edge has a score.
// One launch serves up to 32 pairs of prompts and all layers of their destinations. Proximities sum
// |input| - |input - write| itself, in which nothing cancels.
#include <algorithm>

#include "cuda/alignment.h"
#include "cuda/elements.h"
#include "cuda/product_tiles.h"
#include "cuda/reduce.h"
#include "cuda/term_rows.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

// Long enough that sums of pieces cost little, short enough to fill the device for one pair: 128
// tokens of 1536 are 24 pieces.
constexpr std::int64_t kPiece = 8192;
constexpr int kContractionThreads = 256;
constexpr int kColumns = 128;  // destinations of a block
constexpr int kWarpColumns = 32;
// What the 4 KB of a kernel's argument hold.
constexpr int kMostAtOnce = 32;
constexpr int kMostEnds = 512;
// Sums of pieces that lie in device memory at once, unless one contraction has more.
constexpr std::int64_t kMostSums = std::int64_t{1} << 24;

struct Operands {
  const float* delta;
  const float* gradient;
  float* scores;
  std::int64_t length;
  std::int32_t first_piece;  // of all pieces of the launch
};

struct ContractionKernel {
  Operands each[kMostAtOnce];
  std::int32_t count;
  std::int32_t sources;
  std::int32_t destinations;
  std::int64_t delta_stride;
  std::int64_t gradient_stride;
  std::int64_t scores_stride;
  bool four;      // rows are aligned to four floats
  bool has_ends;  // there are kMostEnds destinations at most then
  std::int32_t ends[kMostEnds];
  float* sums;  // [pieces, sources, destinations]

  /// Sources that destination v has scores with.
  HEADSPARK_DEVICE std::int32_t end(std::int32_t v) const { return has_ends ? ends[v] : sources; }
  /// The same of the last destination before `end_column`, which has the most.
  HEADSPARK_DEVICE std::int32_t last_end(std::int32_t end_column) const {
    return end(end_column < destinations ? end_column - 1 : destinations - 1);
  }
};

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

// A block's warps are 2 x 4, of 16 * Fragments rows and 32 columns each.
template <int Fragments>
constexpr int rows_of_block() {
  return 2 * 16 * Fragments;
}

template <int Terms, int Fragments>
HEADSPARK_KERNEL(kContractionThreads, 1)
contraction_kernel(ContractionKernel p) {
  constexpr int kRows = rows_of_block<Fragments>();
  const std::int32_t first_source = block_x() * kRows;
  const std::int32_t first_column = block_y() * kColumns;
  if (p.last_end(first_column + kColumns) <= first_source) return;
  int which = 0;
  while (which + 1 < p.count && p.each[which + 1].first_piece <= block_z()) ++which;
  const Operands& operands = p.each[which];
  const std::int64_t begin = (block_z() - operands.first_piece) * kPiece;
  const std::int64_t end = begin + kPiece < operands.length ? begin + kPiece : operands.length;

  SharedMemory memory;
  const TermTiles deltas{memory.take<Bf16>(Terms * kRows * kLongRow), kLongRow, kRows * kLongRow};
  const TermTiles gradients{memory.take<Bf16>(Terms * kColumns * kLongRow), kLongRow,
                            kColumns * kLongRow};
  const WarpPlace at{warp_index() / 4 * 16 * Fragments, warp_index() % 4 * kWarpColumns};
  const bool works = first_column + at.column < p.destinations &&
                     p.last_end(first_column + at.column + kWarpColumns) > first_source + at.row;
  RowTile<kRows> next_delta(operands.delta + first_source * p.delta_stride, p.delta_stride,
                            p.sources - first_source, begin);
  RowTile<kColumns> next_gradient(operands.gradient + first_column * p.gradient_stride,
                                  p.gradient_stride, p.destinations - first_column, begin);
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
                                            {at.row, at.column + half * kWarpColumns / 2});
    }
  }
  if (!works) return;
  float* const to = p.sums + static_cast<std::int64_t>(block_z()) * p.sources * p.destinations;
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    for_pairs(sums[half], {at.row, at.column + half * kWarpColumns / 2},
              [&](int row, int column, const Two& pair) {
                const std::int32_t u = first_source + row;
                const std::int32_t v = first_column + column;
                if (u >= p.sources) return;
                float* const score = to + static_cast<std::int64_t>(u) * p.destinations + v;
                if (v < p.destinations) score[0] = pair.x;
                if (v + 1 < p.destinations) score[1] = pair.y;
              });
  }
}

// A thread has an edge of a contraction.
HEADSPARK_KERNEL(kElementThreads) sum_pieces_kernel(ContractionKernel p) {
  const std::int64_t edges = static_cast<std::int64_t>(p.sources) * p.destinations;
  const std::int64_t i = element_index();
  if (i >= edges) return;
  const auto u = static_cast<std::int32_t>(i / p.destinations);
  const auto v = static_cast<std::int32_t>(i % p.destinations);
  if (u >= p.end(v)) return;
  const Operands& operands = p.each[block_y()];
  const float* const sums = p.sums + operands.first_piece * edges + i;
  float sum = 0.0f;
  for (std::int64_t piece = 0; piece * kPiece < operands.length; ++piece) {
    sum += sums[piece * edges];
  }
  operands.scores[u * p.scores_stride + v] += sum;
}

using Kernel = void (*)(ContractionKernel);

struct Choice {
  Kernel kernel;
  int rows;
};

template <int Terms>
Choice choose(std::int64_t sources) {
  if (sources <= rows_of_block<1>()) return {&contraction_kernel<Terms, 1>, rows_of_block<1>()};
  if (sources <= rows_of_block<2>()) return {&contraction_kernel<Terms, 2>, rows_of_block<2>()};
  return {&contraction_kernel<Terms, 4>, rows_of_block<4>()};
}

/// Whether one launch may serve both.
bool alike(const EdgeContraction& a, const EdgeContraction& b) {
  return a.sources == b.sources && a.destinations == b.destinations && a.ends == b.ends &&
         a.delta_stride == b.delta_stride && a.gradient_stride == b.gradient_stride &&
         a.scores_stride == b.scores_stride;
}

std::int64_t pieces_of(std::int64_t length) {
  return (length + kPiece - 1) / kPiece;
}

/// Contractions alike, with their destinations from `first` on, `count` of them.
ContractionKernel kernel_of(std::span<const EdgeContraction> contractions, std::int64_t first,
                            std::int64_t count) {
  const EdgeContraction& shape = contractions.front();
  ContractionKernel kernel{};
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
    const float* const gradient = p.gradient + first * p.gradient_stride;
    kernel.each[i] = {p.delta, gradient, p.scores + first, p.length,
                      static_cast<std::int32_t>(piece)};
    kernel.four = kernel.four && aligned_to(16, p.delta) && aligned_to(16, gradient);
    piece += pieces_of(p.length);
  }
  return kernel;
}

void run(OpDevice& device, Precision precision, ContractionKernel kernel) {
  if (kernel.sources == 0) return;
  const Operands& last = kernel.each[kernel.count - 1];
  const std::int64_t pieces = last.first_piece + pieces_of(last.length);
  const std::int64_t edges = static_cast<std::int64_t>(kernel.sources) * kernel.destinations;
  kernel.sums = device.scratch_floats(ScratchSlot::contraction, pieces * edges);
  const int terms = term_count(precision);
  const auto [multiply, rows] = terms == 1 ? choose<1>(kernel.sources) : choose<3>(kernel.sources);
  launch(device.stream(),
         {{blocks_for(kernel.sources, rows), blocks_for(kernel.destinations, kColumns),
           static_cast<int>(pieces)},
          kContractionThreads,
          terms * (rows + kColumns) * kLongRow * static_cast<int>(sizeof(Bf16))},
         multiply, kernel);
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

struct ProximityKernel {
  FlowProximity flow;
  float* proximity;  // [tokens, sources]
};

// One token per block, one source per warp at a time; then the shares of the token.
HEADSPARK_KERNEL(kContractionThreads) proximity_kernel(ProximityKernel p) {
  const FlowProximity& flow = p.flow;
  const float* input = flow.input + block_x() * flow.width;
  float* proximity = p.proximity + block_x() * flow.sources;
  for (std::int64_t u = warp_index(); u < flow.sources; u += kContractionThreads / 32) {
    const float* write = flow.write + u * flow.write_stride + block_x() * flow.width;
    float sum = 0.0f;
    for (std::int64_t i = lane_index(); i < flow.width; i += 32) {
      sum += absolute(input[i]) - absolute(input[i] - write[i]);
    }
    sum = warp_sum(sum);
    if (lane_index() == 0) proximity[u] = sum < 0.0f ? 0.0f : sum;
  }
  sync_threads();
  float own = 0.0f;
  for (std::int64_t u = thread_index(); u < flow.sources; u += kContractionThreads)
    own += proximity[u];
  SharedMemory memory;
  const float total = block_sum(memory.take<float>(kContractionThreads), kContractionThreads, own);
  // No source near the input at all: the token says nothing, rather than 0 / 0.
  if (!(total > 0.0f)) return;
  for (std::int64_t u = thread_index(); u < flow.sources; u += kContractionThreads)
    proximity[u] /= total;
}

HEADSPARK_KERNEL(kElementThreads) sum_tokens_kernel(ProximityKernel p) {
  const std::int64_t u = element_index();
  if (u >= p.flow.sources) return;
  double sum = 0.0;
  for (std::int64_t t = 0; t < p.flow.tokens; ++t) sum += p.proximity[t * p.flow.sources + u];
  p.flow.scores[u] = static_cast<float>(p.flow.scores[u] + sum);
}

}  // namespace

void edge_contraction_cuda(const Context& context, std::span<const EdgeContraction> contractions) {
  OpDevice& device = op_device(context);
  while (!contractions.empty()) {
    const std::size_t count = at_once(contractions);
    const std::int64_t all = contractions.front().destinations;
    const std::int64_t most = contractions.front().ends != nullptr ? kMostEnds : all;
    for (std::int64_t v = 0; v < all; v += most) {
      run(device, context.precision,
          kernel_of(contractions.first(count), v, std::min(most, all - v)));
    }
    contractions = contractions.subspan(count);
  }
}

void flow_proximity_cuda(const Context& context, const FlowProximity& p) {
  if (p.tokens == 0 || p.sources == 0) return;
  OpDevice& device = op_device(context);
  const ProximityKernel kernel{
      p, device.scratch_floats(ScratchSlot::contraction, p.tokens * p.sources)};
  launch(device.stream(),
         {{blocks_for(p.tokens, 1)},
          kContractionThreads,
          kContractionThreads * static_cast<int>(sizeof(float))},
         &proximity_kernel, kernel);
  launch(device.stream(), element_shape(p.sources), &sum_tokens_kernel, kernel);
}

}  // namespace headspark
