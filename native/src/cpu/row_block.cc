#include "cpu/row_block.h"

#include "cpu/fast_ops.h"
#include "cpu/read_packed.h"

namespace headspark {
namespace {

constexpr std::int64_t kProductBytes = 96 << 10;
// With fewer rows for each thread, reading all weights once per block costs more than it saves.
constexpr std::int64_t kLeastRows = 64;
constexpr ScratchSlot kInner[LowRankRows::kMost] = {ScratchSlot::block_low_rank,
                                                    ScratchSlot::block_second_low_rank,
                                                    ScratchSlot::block_third_low_rank};
constexpr ScratchSlot kPackedInner[LowRankRows::kMost] = {ScratchSlot::block_low_rank_packed,
                                                          ScratchSlot::block_second_low_rank_packed,
                                                          ScratchSlot::block_third_low_rank_packed};

}  // namespace

bool runs_in_blocks(const Context& context, std::int64_t rows) {
  return rows >= kLeastRows * context.threads->threads();
}

std::int64_t whole_panels(std::int64_t columns) {
  return ceil_divide(columns, kPanelWidth);
}

const float* bias_of(const LinearWeight& weight) {
  return weight.bias.empty() ? nullptr : weight.bias.data();
}

RowBlocks cut_rows(const GemmKernels& kernels, std::int64_t rows, int threads) {
  const std::int64_t count = ceil_divide(ceil_divide(rows, kernels.block_rows), threads) * threads;
  // Register tiles come in pairs of 16 rows on AMX: one of them alone is no loss to speak of.
  // Others share the rows of any block nearly equally.
  const std::int64_t whole = kernels.row_tile % 16 == 0 ? 16 : 1;
  RowBlocks blocks;
  blocks.rows = ceil_divide(ceil_divide(rows, count), whole) * whole;
  blocks.count = ceil_divide(rows, blocks.rows);
  return blocks;
}

RowOperand::RowOperand(const GemmKernels& kernels, ScratchSlot slot, std::int64_t rows,
                       std::int64_t depth)
    : kernels_(kernels), depth_(depth), block_(depth_block(kernels, depth)) {
  block_bytes_ = kernels.a_bytes(rows, block_);
  const std::int64_t bytes = ceil_divide(depth, block_) * block_bytes_;
  memory_ = reinterpret_cast<char*>(scratch(slot, ceil_divide(bytes, 4)));
}

void RowOperand::pack(std::int64_t first, std::int64_t count, const float* rows,
                      std::int64_t stride, float scale) {
  for_ranges(depth_, block_, [&](const Range& range) {
    pack_range(first, count, range, rows + range.begin, stride, scale);
  });
}

void RowOperand::pack_range(std::int64_t first, std::int64_t count, const Range& range,
                            const float* rows, std::int64_t stride, float scale) {
  const std::int64_t begin = range.begin / block_ * block_;
  PackRowsA pack;
  pack.rows = rows;
  pack.stride = stride;
  pack.count = count;
  pack.depth = range.count();
  pack.scale = scale;
  pack.at = range.begin - begin;
  pack.whole = std::min(block_, depth_ - begin);
  pack.a = memory_ + begin / block_ * block_bytes_ + kernels_.a_bytes(first, pack.whole);
  kernels_.pack_a(pack);
}

void RowBlock::pack_normed(const NormWeight* norm, const float* x, std::int64_t width,
                           RowOperand& operand) const {
  if (norm == nullptr) return operand.pack(0, rows_, x, width);
  float* normed = scratch(ScratchSlot::block_rows, kernels_.gemm.row_tile * width);
  for_row_tiles([&](const Range& tile) {
    norm_rows(kernels_, {norm, tile.count(), x + tile.begin * width, width, normed, width});
    operand.pack(tile.begin, tile.count(), normed, width);
  });
}

void RowBlock::fill_rows(float* c, std::int64_t stride, const float* bias,
                         const Range& columns) const {
  for (std::int64_t r = 0; r < rows_; ++r) {
    float* row = c + r * stride;
    std::copy(bias + columns.begin, bias + columns.end, row);
    std::fill(row + columns.count(), row + whole_panels(columns.count()) * kPanelWidth, 0.0f);
  }
}

void RowBlock::copy_rows(const float* from, std::int64_t stride, std::int64_t count, float* to,
                         std::int64_t to_stride) const {
  for (std::int64_t r = 0; r < rows_; ++r) {
    std::copy_n(from + r * stride, count, to + r * to_stride);
  }
}

std::int64_t panels_of_product(const PackedPanels& b, std::int64_t depth) {
  return std::max<std::int64_t>(kProductBytes / b.depth_bytes(depth) / 2, 1) * 2;
}

void BlockProducts::multiply(const void* a, float* c, std::int64_t c_stride, bool accumulate,
                             float* out, std::int64_t out_stride) {
  const PanelProduct& product = list_[next_];
  next_ = next_ + 1 < list_.size() ? next_ + 1 : 0;  // a block begins as this one did
  const PanelProduct& then = list_[next_];
  GemmTile tile;
  tile.a = a;
  tile.rows = rows_;
  tile.depth = product.depth.count();
  tile.c_stride = c_stride;
  tile.accumulate = accumulate;
  tile.out_stride = out_stride;
  tile.next = read_of(*then.b, then.panels, then.depth);
  for_ranges(product.panels.count(), kernels_.gemm.panels, [&](const Range& panels) {
    tile.panels = panels.count();
    tile.c = c + panels.begin * kPanelWidth;
    if (out != nullptr) tile.out = out + panels.begin * kPanelWidth;
    read_packed(kernels_, *product.b, product.panels.begin + panels.begin, product.depth.begin,
                tile);
    kernels_.gemm.multiply(tile);
    tile.next.count = 0;  // asked for beside the first panels
  });
}

void add_down(const LowRankPanels& low_rank, const Range& depth, std::vector<PanelProduct>& list) {
  if (low_rank.rank > 0) list.push_back({low_rank.down, {0, whole_panels(low_rank.rank)}, depth});
}

void add_up(const LowRankPanels& low_rank, const GemmKernels& kernels, const Range& panels,
            std::vector<PanelProduct>& list) {
  for_ranges(low_rank.rank, depth_block(kernels, low_rank.rank), [&](const Range& depth) {
    list.push_back({low_rank.up, panels, depth});
  });
}

LowRankRows::LowRankRows(const KernelTable& kernels, const LowRankPanels& low_rank,
                         std::int64_t rows, int index)
    : low_rank_(low_rank),
      rows_(low_rank.rank > 0 ? rows : 0),
      stride_(whole_panels(low_rank.rank) * kPanelWidth),
      inner_(scratch(kInner[index], rows_ * stride_)),
      packed_(kernels.gemm, kPackedInner[index], rows_, low_rank.rank) {}

void LowRankRows::add(BlockProducts& products, const void* a, bool accumulate) const {
  if (low_rank_.rank > 0) products.multiply(a, inner_, stride_, accumulate);
}

void LowRankRows::run(BlockProducts& products, const RowOperand& rows, std::int64_t depth) {
  for_ranges(depth, rows.block(),
             [&](const Range& range) { add(products, rows.at(range.begin), range.begin > 0); });
  pack();
}

void LowRankRows::pack() {
  packed_.pack(0, rows_, inner_, stride_, low_rank_.scale);
}

void LowRankRows::multiply(BlockProducts& products, float* c, std::int64_t c_stride) const {
  for_ranges(low_rank_.rank, packed_.block(), [&](const Range& depth) {
    products.multiply(packed_.at(depth.begin), c, c_stride, true);
  });
}

}  // namespace headspark
