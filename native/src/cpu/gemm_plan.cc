#include "cpu/gemm_plan.h"

#include <algorithm>

#include "cpu/read_packed.h"

namespace headspark {
namespace {

// Items per thread, so that the wait for the last one is short.
constexpr std::int64_t kItemsPerThread = 16;
// Every item reads the A of its rows. Deeper ones do not stay in L2, so they are read less often:
// fewer items of more panels.
constexpr std::int64_t kDeepItemsPerThread = 6;

// As many for each thread, where that makes them little smaller. Products of the same rows have the
// same blocks: they share packed rows.
std::int64_t count_row_blocks(std::int64_t rows, int threads, const GemmKernels& kernels) {
  const std::int64_t count = ceil_divide(rows, kernels.row_block);
  const std::int64_t even = ceil_divide(count, threads) * threads;
  return even <= count + count / 8 ? even : count;
}

// The split changes no bits: every element is one chain.
GemmBlocking choose_blocking(const Gemm& p, const Range& span, int threads,
                             const GemmKernels& kernels) {
  GemmBlocking blocking;
  // Whole register tiles, so that only the last block has a remainder.
  const std::int64_t share = ceil_divide(p.rows, count_row_blocks(p.rows, threads, kernels));
  blocking.row_block = ceil_divide(share, kernels.row_tile) * kernels.row_tile;
  blocking.row_blocks = ceil_divide(p.rows, blocking.row_block);
  const std::int64_t panels = span.count();
  if (blocking.streams()) {
    // Equal items for the threads, in pairs of panels.
    const std::int64_t pairs = ceil_divide(panels, 2 * threads);
    const std::int64_t rounds = ceil_divide(2 * pairs, kernels.stream_panels);
    blocking.group = 2 * ceil_divide(pairs, rounds);
    blocking.groups = ceil_divide(panels, blocking.group);
    return blocking;
  }
  const bool deep = blocking.row_block * p.depth * 4 > kCachedRows;
  std::int64_t items = deep ? kDeepItemsPerThread : kItemsPerThread;
  if (kernels.items_per_thread > 0) items = kernels.items_per_thread;
  const std::int64_t wanted = ceil_divide(items * threads, blocking.row_blocks);
  blocking.group = std::clamp<std::int64_t>(ceil_divide(panels, wanted), 2, kernels.item_panels);
  blocking.group += blocking.group % 2;  // whole pairs for AVX-512 and tiles
  blocking.groups = ceil_divide(panels, blocking.group);
  return blocking;
}

}  // namespace

void GemmSum::pack_a(const GemmKernels& kernels, std::int64_t row, std::int64_t count,
                     std::int64_t k, char* packed) const {
  PackRowsA pack;
  pack.lead = k == 0 ? lead : 0;
  pack.rows = a + row * a_stride + k - (k == 0 ? 0 : lead);
  pack.stride = a_stride;
  pack.count = count;
  pack.depth = depth_at(k) - pack.lead;
  pack.scale = a_scale;
  pack.a = packed;
  kernels.pack_a(pack);
}

GemmPlan::GemmPlan(const Context& context, const Gemm& product)
    : p(product),
      kernels(kernel_table(context)),
      span{p.first_column / kPanelWidth, ceil_divide(p.first_column + p.columns, kPanelWidth)},
      blocking(choose_blocking(p, span, context.threads->threads(), kernels.gemm)) {
  main = sum_over(p.a, p.a_stride, *p.b.main, {p.first_depth, p.first_depth + p.depth});
}

GemmSum GemmPlan::sum_over(const float* a, std::int64_t a_stride, const PackedPanels& b,
                           const Range& depths) const {
  GemmSum sum;
  sum.a = a;
  sum.a_stride = a_stride;
  sum.b = &b;
  sum.lead = b.layout != PanelLayout::f32 ? depths.begin % 2 : 0;
  sum.first_depth = depths.begin - sum.lead;
  sum.depth = depths.count() + sum.lead;
  sum.block = depth_block(kernels.gemm, sum.depth);
  return sum;
}

GemmPiece GemmPlan::piece(std::int64_t index) const {
  const std::int64_t begin = span.begin + index / blocking.row_blocks * blocking.group;
  return {this, index % blocking.row_blocks, {begin, std::min(begin + blocking.group, span.end)}};
}

Fetch GemmPlan::read_at(const Range& panels, std::int64_t k) const {
  const std::int64_t begin = main.first_depth + k;
  return read_of(*main.b, panels, {begin, begin + main.depth_at(k)});
}

std::int64_t GemmPlan::a_offset(std::int64_t k) const {
  std::int64_t bytes = 0;
  for (std::int64_t at = 0; at < k; at += main.block) {
    bytes += kernels.gemm.a_bytes(blocking.row_block, main.depth_at(at));
  }
  return bytes;
}

}  // namespace headspark
