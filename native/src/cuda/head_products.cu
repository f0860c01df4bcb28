// A block has 64 tokens and 64 columns of all heads, one after the other, so that what the norm's
// backward reads of each copy stays in registers. Terms and weights come by cp.async, 32 depths at
// a time, several tiles ahead.
#include "cuda/alignment.h"
#include "cuda/head_products.h"
#include "cuda/product_tiles.h"
#include "cuda/row_pairs.h"
#include "cuda/term_gemm.h"

namespace headspark::cuda {
namespace {

constexpr int kTile = 64;  // tokens and columns of a block
constexpr int kThreads = 256;
constexpr int kWarpColumns = 32;  // warps are 4 x 2, of 16 tokens each
constexpr int kPieces = kWarpColumns / 8;
constexpr int kWideRow = kTile + 8;  // elements, [depth][column]
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

/// Terms of the rows and of the weight.
template <int TermsA, int TermsB>
struct Stages {
  static constexpr int kElements = TermsA * kRowElements + TermsB * kWeightElements;
  static constexpr int kCount = 4 * kElements * 2 <= kLargestShared ? 4 : 3;
  static constexpr int kBytes = kCount * kElements * 2;

  SharedArray<Bf16> rows;
  SharedArray<Bf16> weights;

  HEADSPARK_DEVICE explicit Stages(SharedMemory& memory)
      : rows(memory.take<Bf16>(kCount * TermsA * kRowElements)),
        weights(memory.take<Bf16>(kCount * TermsB * kWeightElements)) {}

  HEADSPARK_DEVICE TermTiles row_terms(int stage) const {
    return {rows, kLongRow, kRowElements, stage * TermsA * kRowElements};
  }
  HEADSPARK_DEVICE TermTiles weight_terms(int stage) const {
    return {weights, kWideRow, kWeightElements, stage * TermsB * kWeightElements};
  }
};

/// What a thread copies: a piece of each tile, 32 depths of one head after the other.
template <int TermsA, int TermsB, bool LowRank>
class Copies {
 public:
  HEADSPARK_DEVICE Copies(const HeadProducts& p, const Stages<TermsA, TermsB>& to)
      : to_(to),
        term_stride_(p.d.term_stride),
        weight_stride_(p.weight.stride),
        weight_term_stride_(p.weight.term_stride),
        low_term_stride_(p.low_rank.rows.term_stride),
        head_dim_(static_cast<std::int32_t>(p.head_dim)),
        low_depth_(static_cast<std::int32_t>(p.low_rank.depth)),
        left_(static_cast<std::int32_t>(p.heads * (p.head_dim + p.low_rank.depth))),
        of_head_(head_dim_),
        share_(static_cast<std::int32_t>(p.share)),
        of_share_(share_) {
    const int row = long_row(thread_index() / kInLongRow);
    const int k = thread_index() % kInLongRow * kElementsOf16Bytes;
    const std::int64_t token = static_cast<std::int64_t>(block_x()) * kTile + row;
    exists_ = token < p.tokens;
    row_ = p.d.data + (exists_ ? token : 0) * p.d.stride + k;
    const TermRows& low = p.low_rank.depth > 0 ? p.low_rank.rows : p.d;
    low_row_ = low.data + (exists_ ? token : 0) * low.stride + k;
    to_row_ = row * kLongRow + k;
    const int weight_row = thread_index() / kInWideRow;
    const int c = thread_index() % kInWideRow * kElementsOf16Bytes;
    const std::int64_t column = static_cast<std::int64_t>(block_y()) * kTile + c;
    valid_ = valid_bytes(p.width - column);
    const std::int64_t to_piece = weight_row * weight_stride_ + (valid_ > 0 ? column : 0);
    weight_ = p.weight.data + to_piece;
    low_weight_ = (p.low_rank.depth > 0 ? p.low_rank.factor : p.weight.data) + to_piece;
    to_weight_ = weight_row * kWideRow + c;
  }

  /// Begins to copy the next tile; nothing where there is none.
  HEADSPARK_DEVICE void begin(int stage) {
    if (left_ > 0) {
      copy(stage);
      go_on();
    }
    commit_copies();
  }

 private:
  static constexpr int kInLongRow = kTileDepth / kElementsOf16Bytes;
  static constexpr int kInWideRow = kTile / kElementsOf16Bytes;

  HEADSPARK_DEVICE void copy(int stage) const {
    const bool low = LowRank && of_low_rank_ > 0;
    const std::uint16_t* const row = low ? low_row_ : row_;
    const std::int64_t term_stride = low ? low_term_stride_ : term_stride_;
    HEADSPARK_UNROLL
    for (int t = 0; t < TermsA; ++t) {
      copy_async(to_.rows, (stage * TermsA + t) * kRowElements + to_row_,
                 reinterpret_cast<const Bf16*>(row + t * term_stride), exists_ ? 16 : 0);
    }
    // A factor has one term, or its terms are more depths: the others are zeros.
    HEADSPARK_UNROLL
    for (int t = 0; t < TermsB; ++t) {
      copy_async(
          to_.weights, (stage * TermsB + t) * kWeightElements + to_weight_,
          reinterpret_cast<const Bf16*>(low ? low_weight_ : weight_ + t * weight_term_stride_),
          low && t > 0 ? 0 : valid_);
    }
  }
  HEADSPARK_DEVICE void go_on() {
    left_ -= kTileDepth;
    if (LowRank && of_low_rank_ > 0) {
      low_row_ += kTileDepth;
      low_weight_ += kTileDepth * weight_stride_;
      of_low_rank_ -= kTileDepth;
      // All heads have the same factor.
      if (of_low_rank_ == 0) low_weight_ -= low_depth_ * weight_stride_;
      return;
    }
    row_ += kTileDepth;
    weight_ += kTileDepth * weight_stride_;
    of_head_ -= kTileDepth;
    if (of_head_ > 0) return;
    of_head_ = head_dim_;
    of_low_rank_ = low_depth_;
    // The next head has the same weight, or what follows it.
    if (--of_share_ > 0) {
      weight_ -= head_dim_ * weight_stride_;
    } else {
      of_share_ = share_;
    }
  }

  Stages<TermsA, TermsB> to_;
  const std::uint16_t* row_;
  const std::uint16_t* weight_;
  const std::uint16_t* low_row_;
  const std::uint16_t* low_weight_;
  std::int64_t term_stride_;
  std::int64_t weight_stride_;
  std::int64_t weight_term_stride_;
  std::int64_t low_term_stride_;
  std::int32_t head_dim_;
  std::int32_t low_depth_;
  std::int32_t left_;             // depths of all heads that are not copied yet
  std::int32_t of_head_;          // of this head
  std::int32_t of_low_rank_ = 0;  // of the term, which comes after a head's own
  std::int32_t share_;
  std::int32_t of_share_;  // heads that follow with this weight, and this one
  int to_row_;
  int to_weight_;
  int valid_;
  bool exists_;
};

template <int TermsA, int TermsB, typename Stored, bool LowRank>
HEADSPARK_KERNEL(kThreads, 1)
head_products_kernel(HeadKernel kernel) {
  const HeadProducts& p = kernel.all;
  const OwnPlace own;
  SharedMemory memory;
  const Stages<TermsA, TermsB> stages(memory);
  constexpr int kStages = Stages<TermsA, TermsB>::kCount;
  const WarpPlace at{warp_index() / 2 * 16, warp_index() % 2 * kWarpColumns};
  const int of_head = static_cast<int>((p.head_dim + p.low_rank.depth) / kTileDepth);
  const int count = static_cast<int>(p.heads) * of_head;
  Copies<TermsA, TermsB, LowRank> copies(p, stages);
  HEADSPARK_UNROLL
  for (int tile = 0; tile < kStages - 1; ++tile) copies.begin(tile);

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
  int left = of_head;  // tiles of this head
  std::int64_t head = -1;
  for (int tile = 0; tile < count; ++tile) {
    wait_copies<kStages - 2>();
    sync_threads();
    copies.begin((tile + kStages - 1) % kStages);
    add_tile_product<TermsA, TermsB, true>(sums, stages.row_terms(tile % kStages),
                                           stages.weight_terms(tile % kStages), at);
    if (--left > 0) continue;
    left = of_head;
    ++head;
    HEADSPARK_UNROLL
    for (int half = 0; half < 2; ++half) {
      const std::int64_t token = own.token + 8 * half;
      if (token >= p.tokens) continue;
      const float* const multiples = p.multiples + (token * p.heads + head) * p.copies;
      Stored* const y = reinterpret_cast<Stored*>(p.y) + head * p.y_stride + token * p.width;
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

struct Choice {
  void (*kernel)(HeadKernel);
  int shared_bytes;
};

template <int TermsA, int TermsB, typename Stored>
Choice choice(const HeadProducts& p) {
  return {p.low_rank.depth > 0 ? &head_products_kernel<TermsA, TermsB, Stored, true>
                               : &head_products_kernel<TermsA, TermsB, Stored, false>,
          Stages<TermsA, TermsB>::kBytes};
}

Choice choose(const HeadProducts& p) {
  if (p.d.terms == 1) {
    return p.type == DType::f32 ? choice<1, 1, float>(p) : choice<1, 1, std::uint16_t>(p);
  }
  if (p.weight.terms == 1) return choice<3, 1, float>(p);
  return p.weight.terms == 2 ? choice<3, 2, float>(p) : choice<3, 3, float>(p);
}

}  // namespace

bool has_head_products(const GemmOperand& weight, std::int64_t head_dim, std::int64_t copies) {
  return suits_terms(weight) && head_dim % kTileDepth == 0 && copies <= kMostCopies;
}

void head_products(OpDevice& device, const HeadProducts& p) {
  if (p.tokens == 0 || p.heads == 0) return;
  const bool two =
      p.width % 2 == 0 && p.y_stride % 2 == 0 && aligned_to(8, p.x) && aligned_to(8, p.y);
  const Choice chosen = choose(p);
  launch(device.stream(),
         {{blocks_for(p.tokens, kTile), blocks_for(p.width, kTile)}, kThreads, chosen.shared_bytes},
         chosen.kernel, HeadKernel{p, two});
}

}  // namespace headspark::cuda
