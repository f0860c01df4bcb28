// Products of one block of rows on one thread, made so that its activations stay in L2: what the
// ops that run block by block share. A block runs a fixed list of products, each of some panels
// over one block of depth, and asks for the weights of the next while it multiplies.
#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernel_table.h"
#include "cpu/layer_panels.h"
#include "cpu/range.h"
#include "cpu/scratch.h"
#include "headspark/context.h"
#include "headspark/ops/norm.h"
#include "headspark/weight.h"

namespace headspark {

/// Whether blocks pay: rows enough for each thread.
bool runs_in_blocks(const Context& context, std::int64_t rows);

std::int64_t whole_panels(std::int64_t columns);

/// The rows of a pass in blocks of nearly equal height.
struct RowBlocks {
  std::int64_t rows = 0;  ///< of a block; the last has fewer
  std::int64_t count = 0;
};
RowBlocks cut_rows(const GemmKernels& kernels, std::int64_t rows, int threads);

/// Rows of fp32 as the A operand of products, in the level's blocks of depth, in a scratch slot.
class RowOperand {
 public:
  RowOperand(const GemmKernels& kernels, ScratchSlot slot, std::int64_t rows, std::int64_t depth);

  std::int64_t block() const { return block_; }
  const void* at(std::int64_t k) const { return memory_ + k / block_ * block_bytes_; }
  /// `count` rows of all depths from `first` on, a multiple of the level's row_tile, times `scale`.
  void pack(std::int64_t first, std::int64_t count, const float* rows, std::int64_t stride,
            float scale = 1.0f);
  /// The same for the depths of `range`, a part of one block of depth, or all of it where the level
  /// packs whole ones.
  void pack_range(std::int64_t first, std::int64_t count, const Range& range, const float* rows,
                  std::int64_t stride, float scale = 1.0f);

 private:
  const GemmKernels& kernels_;
  std::int64_t depth_;
  std::int64_t block_;
  std::int64_t block_bytes_;
  char* memory_;
};

/// The rows of one block and what all ops do with them. Results in scratch have rows of whole
/// panels.
class RowBlock {
 protected:
  RowBlock(const KernelTable& kernels, const RowBlocks& blocks, std::int64_t tokens,
           std::int64_t index)
      : kernels_(kernels),
        first_(index * blocks.rows),
        rows_(std::min(blocks.rows, tokens - first_)) {}

  float* floats(ScratchSlot slot, std::int64_t stride) const {
    return scratch(slot, rows_ * stride);
  }
  /// Rows that go through a kernel and are packed while they are in L1.
  template <typename Body>
  void for_row_tiles(const Body& body) const {
    for_ranges(rows_, kernels_.gemm.row_tile, body);
  }
  /// norm(x), or x where norm is null, as an operand; x is the first row of the block.
  void pack_normed(const NormWeight* norm, const float* x, std::int64_t width,
                   RowOperand& operand) const;
  /// Every row is `bias` of these columns, zero up to whole panels.
  void fill_rows(float* c, std::int64_t stride, const float* bias, const Range& columns) const;
  /// The first `count` columns of rows in scratch.
  void copy_rows(const float* from, std::int64_t stride, std::int64_t count, float* to,
                 std::int64_t to_stride) const;

  const KernelTable& kernels_;
  std::int64_t first_;
  std::int64_t rows_;
};

/// Block(walk, params, i).run() for every block, on all threads.
template <typename Block, typename Walk, typename Params>
void run_blocks(const Context& context, const RowBlocks& blocks, const Walk& walk,
                const Params& params) {
  context.threads->parallel_for(blocks.count, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) Block(walk, params, i).run();
  });
}

/// Null where the layer has none.
const float* bias_of(const LinearWeight& weight);

/// One product of the list.
struct PanelProduct {
  const PackedPanels* b = nullptr;
  Range panels;
  Range depth;  ///< one block of the level's depths
};

/// Appends what LowRankRows::add, and LowRankRows::multiply for `panels` of the result, will run.
void add_down(const LowRankPanels& low_rank, const Range& depth, std::vector<PanelProduct>& list);
void add_up(const LowRankPanels& low_rank, const GemmKernels& kernels, const Range& panels,
            std::vector<PanelProduct>& list);

/// Panels of one product, so that its weights are about kProductBytes: the size of what is fetched
/// ahead.
std::int64_t panels_of_product(const PackedPanels& b, std::int64_t depth);

/// Runs the list for one block of rows.
class BlockProducts {
 public:
  BlockProducts(const KernelTable& kernels, const std::vector<PanelProduct>& list,
                std::int64_t rows)
      : kernels_(kernels), list_(list), rows_(rows), multiplying_(kernels.gemm, rows) {}

  /// The next product of the list: c is where its first panel begins, [rows, panels * 16]. Where
  /// `out` is given, sums are written there instead, of levels that say so.
  void multiply(const void* a, float* c, std::int64_t c_stride, bool accumulate,
                float* out = nullptr, std::int64_t out_stride = 0);

 private:
  const KernelTable& kernels_;
  const std::vector<PanelProduct>& list_;
  std::int64_t rows_;
  Multiplying multiplying_;
  std::size_t next_ = 0;
};

/// The rows of a block on their way through a low-rank term; nothing happens where there is none.
class LowRankRows {
 public:
  static constexpr int kMost = 3;
  /// `index` < kMost tells the terms of a block apart that are on their way at the same time.
  LowRankRows(const KernelTable& kernels, const LowRankPanels& low_rank, std::int64_t rows,
              int index);

  /// The next product of the list: the rows of one block of depth, times down.
  void add(BlockProducts& products, const void* a, bool accumulate) const;
  /// The same for all depths of an operand, then pack.
  void run(BlockProducts& products, const RowOperand& rows, std::int64_t depth);
  /// After the last depth.
  void pack();
  /// The next products of the list: c += scale (rows down) up.
  void multiply(BlockProducts& products, float* c, std::int64_t c_stride) const;

 private:
  LowRankPanels low_rank_;
  std::int64_t rows_;
  std::int64_t stride_;
  float* inner_;  ///< [rows, rank], rows of whole panels
  RowOperand packed_;
};

}  // namespace headspark
