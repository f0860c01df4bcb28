// Products of rows of their own: a thread takes some rows of one of them, all columns.
#include <algorithm>
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/gemm_item.h"

namespace headspark {
namespace {

// Shares of rows per thread.
constexpr std::int64_t kSharesPerThread = 4;

/// Some rows of one of several products: all of its columns, on one thread.
struct RowShare {
  const Gemm* product = nullptr;
  Range rows;
};

std::vector<RowShare> cut_rows_of(const Context& context, std::span<const Gemm> products) {
  const GemmKernels& kernels = kernel_table(context).gemm;
  std::int64_t rows = 0;
  for (const Gemm& product : products) rows += product.rows;
  const std::int64_t wanted = ceil_divide(rows, kSharesPerThread * context.threads->threads());
  std::vector<RowShare> shares;
  for (const Gemm& product : products) {
    if (product.columns == 0) continue;
    // A and C of a share stay in L2. Register tiles come in pairs of 16 rows on AMX.
    const std::int64_t row_bytes = 4 * std::max(product.depth, product.columns);
    const std::int64_t most =
        std::min(kCachedRows / row_bytes, kernels.row_block) / kernels.row_tile;
    const std::int64_t tiles = std::min(ceil_divide(wanted, kernels.row_tile), most);
    for_ranges(product.rows, std::max<std::int64_t>(tiles, 2) * kernels.row_tile,
               [&](const Range& range) {
                 shares.push_back({&product, range});
               });
  }
  return shares;
}

// All of A of a share; a row tile that goes through a norm is packed while it is in L1.
const char* pack_rows(const GemmPlan& plan) {
  const GemmKernels& kernels = plan.kernels.gemm;
  const Gemm& p = plan.p;
  char* memory = scratch_bytes(ScratchSlot::gemm_shared_a, plan.a_offset(plan.main.depth));
  GemmSum rows = plan.main;
  for_ranges(p.rows, kernels.row_tile, [&](const Range& tile) {
    rows.a = p.a + tile.begin * p.a_stride;
    if (p.norm != nullptr) {
      float* normed = scratch(ScratchSlot::block_rows, kernels.row_tile * p.depth);
      norm_rows(plan.kernels, {p.norm, tile.count(), rows.a, p.a_stride, normed, p.depth});
      rows.a = normed;
      rows.a_stride = p.depth;
    }
    for (std::int64_t k = 0; k < rows.depth; k += rows.block) {
      char* at = memory + plan.a_offset(k) + kernels.a_bytes(tile.begin, rows.depth_at(k));
      rows.pack_a(kernels, 0, tile.count(), k, at);
    }
  });
  return memory;
}

void run_share(const Context& context, const RowShare& share) {
  Gemm part = *share.product;
  part.rows = share.rows.count();
  part.a += share.rows.begin * part.a_stride;
  part.c += share.rows.begin * part.c_stride;
  const GemmPlan plan(context, part);  // one block of rows
  const char* a = pack_rows(plan);
  const GemmPiece whole{&plan, 0, plan.span};
  const std::int64_t rank = part.b.low_rank.rank;
  if (rank == 0) return multiply_piece(whole, {}, a, nullptr);
  GemmWayDown down(context, plan, scratch(ScratchSlot::low_rank, part.rows * rank));
  multiply_piece({&down.plan(), 0, down.plan().span}, {}, down.packed(a), nullptr);
  down.finish();
  multiply_piece(whole, {}, a, &down);
}

}  // namespace

void gemm_each(const Context& context, std::span<const Gemm> products) {
  context.threads->for_each(cut_rows_of(context, products),
                            [&](const RowShare& share) { run_share(context, share); });
}

}  // namespace headspark
