// A block has 64 tokens and 64 columns of all heads, one after the other, so that what the norm's
// backward reads of each copy stays in registers. Terms and weights come by cp.async, 32 depths at
// a time, several tiles ahead.
#include "cuda/alignment.h"
#include "cuda/head_products.h"
#include "cuda/library_gemm.h"
#include "cuda/product_tiles.h"
#include "cuda/row_pairs.h"

namespace headspark::cuda {
namespace {

constexpr int kTile = 64;  // tokens and columns of a block
constexpr int kThreads = 256;
constexpr int kWarpColumns = 32;  // warps are 4 x 2, of 16 tokens each
constexpr int kPieces = kWarpColumns / 8;
constexpr int kWideRow = kTile + 8;  // elements, [depth][column]
constexpr int kStages = 4;           // tiles in shared memory
constexpr int kMostCopies = 8;       // whose x a thread holds
constexpr int kRowElements = kTile * kLongRow;
constexpr int kWeightElements = kTileDepth * kWideRow;

struct HeadKernel {
  HeadProducts all;
  bool two;  // rows of x and y are aligned to two floats
};

/// Where this thread's results lie: tokens g and g + 8 of a warp's 16, pairs of columns.
struct OwnPlace {
  std::int64_t token;
  std::int64_t column;

  HEADSPARK_DEVICE OwnPlace()
      : token(static_cast<std::int64_t>(block_x()) * kTile + warp_index() / 2 * 16 +
              lane_index() / 4),
        column(static_cast<std::int64_t>(block_y()) * kTile + warp_index() % 2 * kWarpColumns +
               lane_index() % 4 * 2) {}
};

template <int Terms>
struct Stages {
  SharedArray<Bf16> rows;
  SharedArray<Bf16> weights;

  HEADSPARK_DEVICE explicit Stages(SharedMemory& memory)
      : rows(memory.take<Bf16>(kStages * Terms * kRowElements)),
        weights(memory.take<Bf16>(kStages * kWeightElements)) {}

  HEADSPARK_DEVICE TermTiles row_terms(int stage) const {
    return {rows, kLongRow, kRowElements, stage * Terms * kRowElements};
  }
  HEADSPARK_DEVICE TermTiles weight_terms(int stage) const {
    return {weights, kWideRow, kWeightElements, stage * kWeightElements};
  }

  /// Begins to copy 32 depths of a head, from `depth` on. A thread has a piece of each tile.
  HEADSPARK_DEVICE void begin_copy(const HeadProducts& p, int stage, std::int64_t head,
                                   std::int64_t depth) const {
    constexpr int kInLongRow = kTileDepth / kElementsOf16Bytes;
    const int row = long_row(thread_index() / kInLongRow);
    const int k = thread_index() % kInLongRow * kElementsOf16Bytes;
    const std::int64_t token = static_cast<std::int64_t>(block_x()) * kTile + row;
    const bool exists = token < p.tokens;
    const std::uint16_t* const from =
        p.d.data + (exists ? token : 0) * p.d.stride + head * p.head_dim + depth + k;
    HEADSPARK_UNROLL
    for (int t = 0; t < Terms; ++t) {
      copy_async(rows, (stage * Terms + t) * kRowElements + row * kLongRow + k,
                 reinterpret_cast<const Bf16*>(from + t * p.d.term_stride), exists ? 16 : 0);
    }
    constexpr int kInWideRow = kTile / kElementsOf16Bytes;
    const int weight_row = thread_index() / kInWideRow;
    const int c = thread_index() % kInWideRow * kElementsOf16Bytes;
    const std::int64_t column = static_cast<std::int64_t>(block_y()) * kTile + c;
    const std::int64_t left = p.width - column;  // may be negative
    const int valid = left >= kElementsOf16Bytes ? 16 : left > 0 ? static_cast<int>(2 * left) : 0;
    const std::uint16_t* const weight =
        p.weight + (head / p.share * p.head_dim + depth + weight_row) * p.weight_stride;
    copy_async(weights, stage * kWeightElements + weight_row * kWideRow + c,
               reinterpret_cast<const Bf16*>(weight + (valid > 0 ? column : 0)), valid);
  }
};

template <int Terms>
HEADSPARK_KERNEL(kThreads, 1)
head_products_kernel(HeadKernel kernel) {
  const HeadProducts& p = kernel.all;
  const OwnPlace own;
  SharedMemory memory;
  const Stages<Terms> stages(memory);
  const WarpPlace at{warp_index() / 2 * 16, warp_index() % 2 * kWarpColumns};
  const int of_head = static_cast<int>(p.head_dim / kTileDepth);
  const int count = static_cast<int>(p.heads) * of_head;
  const auto begin_copy = [&](int tile) {
    if (tile < count) {
      stages.begin_copy(p, tile % kStages, tile / of_head, tile % of_head * kTileDepth);
    }
    commit_copies();
  };
  HEADSPARK_UNROLL
  for (int tile = 0; tile < kStages - 1; ++tile) begin_copy(tile);

  Two gain[kPieces];
  Two x[kMostCopies][2][kPieces];
  HEADSPARK_UNROLL
  for (int n = 0; n < kPieces; ++n) {
    gain[n] = read_row_pair(p.gain, own.column + 8 * n, p.width, false);
  }
  HEADSPARK_UNROLL
  for (int c = 0; c < kMostCopies; ++c) {
    HEADSPARK_UNROLL
    for (int half = 0; half < 2; ++half) {
      const std::int64_t token = own.token + 8 * half;
      const bool exists = c < p.copies && token < p.tokens;
      const float* const row = p.x + (exists ? c * p.tokens + token : 0) * p.width;
      HEADSPARK_UNROLL
      for (int n = 0; n < kPieces; ++n) {
        x[c][half][n] =
            exists ? read_row_pair(row, own.column + 8 * n, p.width, kernel.two) : Two{0.0f, 0.0f};
      }
    }
  }

  FragmentC sums[1][kPieces] = {};
  for (int tile = 0; tile < count; ++tile) {
    wait_copies<kStages - 2>();
    sync_threads();
    begin_copy(tile + kStages - 1);
    multiply_tile<Terms, 1, true>(sums, stages.row_terms(tile % kStages),
                                  stages.weight_terms(tile % kStages), at);
    if (tile % of_head + 1 < of_head) continue;
    const std::int64_t head = tile / of_head;
    HEADSPARK_UNROLL
    for (int half = 0; half < 2; ++half) {
      const std::int64_t token = own.token + 8 * half;
      if (token >= p.tokens) continue;
      const float* const multiples = p.multiples + (token * p.heads + head) * p.copies;
      float* const y = p.y + head * p.y_stride + token * p.width;
      Two values[kPieces];
      HEADSPARK_UNROLL
      for (int n = 0; n < kPieces; ++n) {
        const float* const sum = sums[0][n].r + 2 * half;
        values[n] = {rounded_product(sum[0], gain[n].x), rounded_product(sum[1], gain[n].y)};
      }
      HEADSPARK_UNROLL
      for (int c = 0; c < kMostCopies; ++c) {
        if (c >= p.copies) continue;
        const float multiple = multiples[c];
        HEADSPARK_UNROLL
        for (int n = 0; n < kPieces; ++n) {
          values[n].x = multiply_add(-multiple, x[c][half][n].x, values[n].x);
          values[n].y = multiply_add(-multiple, x[c][half][n].y, values[n].y);
        }
      }
      HEADSPARK_UNROLL
      for (int n = 0; n < kPieces; ++n) {
        write_row_pair(y, own.column + 8 * n, p.width, kernel.two, values[n]);
      }
    }
    HEADSPARK_UNROLL
    for (int n = 0; n < kPieces; ++n) sums[0][n] = {};
  }
}

}  // namespace

bool has_head_products(const GemmOperand& weight, std::int64_t head_dim, std::int64_t copies) {
  return library_reads(weight) && head_dim % kTileDepth == 0 && copies <= kMostCopies;
}

void head_products(OpDevice& device, const HeadProducts& p) {
  if (p.tokens == 0 || p.heads == 0) return;
  const bool two =
      p.width % 2 == 0 && p.y_stride % 2 == 0 && aligned_to(8, p.x) && aligned_to(8, p.y);
  const int elements = kStages * (p.d.terms * kRowElements + kWeightElements);
  launch(device.stream(),
         {{blocks_for(p.tokens, kTile), blocks_for(p.width, kTile)},
          kThreads,
          elements * static_cast<int>(sizeof(Bf16))},
         p.d.terms == 1 ? &head_products_kernel<1> : &head_products_kernel<3>, HeadKernel{p, two});
}

}  // namespace headspark::cuda
