// Blocking: an item is a block of rows times a group of panels. Per depth block, A's rows are
// packed once (L2), panels are read as they lie or made fp32 in L1, and the micro-kernel runs over
// the rows.
#include "cpu/gemm.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "cpu/gemm_item.h"
#include "cpu/kernels/fetch.h"

namespace headspark {
namespace {

// So few rows are packed in less time than asking for weights takes.
constexpr std::int64_t kQuickRows = 4;

// Items of one block of rows share its packed A, which splitting into terms makes expensive.
const char* pack_all_of_a(const Context& context, const GemmPlan& plan) {
  const GemmKernels& kernels = plan.kernels.gemm;
  const std::int64_t block_bytes = plan.a_offset(plan.main.depth);
  char* memory = scratch_bytes(ScratchSlot::gemm_shared_a, plan.blocking.row_blocks * block_bytes);
  const std::int64_t tiles_per_block = plan.blocking.row_block / kernels.row_tile;
  const std::int64_t tiles = ceil_divide(plan.p.rows, kernels.row_tile);
  context.threads->parallel_for(tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const std::int64_t row = tile * kernels.row_tile;
      const std::int64_t in_block = tile % tiles_per_block * kernels.row_tile;
      char* block = memory + tile / tiles_per_block * block_bytes;
      for (std::int64_t k = 0; k < plan.main.depth; k += plan.main.block) {
        char* at = block + plan.a_offset(k) + kernels.a_bytes(in_block, plan.main.depth_at(k));
        plan.main.pack_a(kernels, row, std::min(kernels.row_tile, plan.p.rows - row), k, at);
      }
    }
  });
  return memory;
}

// All of A for this thread alone: of one block of rows that costs less than one more parallel loop
// and than reading what another core has written. Asks for the weights of the first piece
// meanwhile.
const char* pack_own_a(const GemmPlan& plan, const GemmPiece& first) {
  char* memory = scratch_bytes(ScratchSlot::gemm_shared_a, plan.a_offset(plan.main.depth));
  const GemmKernels& kernels = plan.kernels.gemm;
  Fetch read = first.plan->read_at(first.span, 0);
  const GemmSum& sum = plan.main;
  const std::int64_t steps =
      ceil_divide(sum.depth, sum.block) * ceil_divide(plan.p.rows, kernels.row_tile);
  const std::int64_t share = plan.p.rows > kQuickRows ? fetch_share(read, steps) : 0;
  for (std::int64_t k = 0; k < sum.depth; k += sum.block) {
    for_ranges(plan.p.rows, kernels.row_tile, [&](const Range& rows) {
      fetch_lines(read, share);
      char* at = memory + plan.a_offset(k) + kernels.a_bytes(rows.begin, sum.depth_at(k));
      sum.pack_a(kernels, rows.begin, rows.count(), k, at);
    });
  }
  return memory;
}

// The pieces of all products, one product after the other.
class Pieces {
 public:
  Pieces(const Context& context, std::span<const Gemm> products) {
    plans_.reserve(products.size());
    for (const Gemm& product : products) {
      GemmPlan& plan = plans_.emplace_back(context, product);
      plan.inner_at = inner_floats_;
      count_ += plan.blocking.row_blocks * plan.blocking.groups;
      inner_floats_ += product.rows * product.b.low_rank.rank;
    }
  }

  std::int64_t count() const { return count_; }
  /// What the low-rank terms have between their two factors, [rows, rank] each.
  std::int64_t inner_floats() const { return inner_floats_; }
  const std::vector<GemmPlan>& plans() const { return plans_; }
  const GemmPlan& first_plan() const { return plans_.front(); }

  GemmPiece operator[](std::int64_t index) const {
    for (const GemmPlan& plan : plans_) {
      const GemmBlocking& blocking = plan.blocking;
      const std::int64_t count = blocking.row_blocks * blocking.groups;
      if (index < count) {
        const std::int64_t begin = plan.span.begin + index / blocking.row_blocks * blocking.group;
        return {&plan,
                index % blocking.row_blocks,
                {begin, std::min(begin + blocking.group, plan.span.end)}};
      }
      index -= count;
    }
    return {};
  }

 private:
  std::vector<GemmPlan> plans_;
  std::int64_t count_ = 0;
  std::int64_t inner_floats_ = 0;
};

// The first factors of all products, for all threads.
float* multiply_down(const Context& context, const Pieces& pieces, const char* packed_a) {
  float* inner = scratch(ScratchSlot::low_rank, pieces.inner_floats());
  for (const GemmPlan& plan : pieces.plans()) {
    if (plan.p.b.low_rank.rank == 0) continue;
    const GemmWayDown down(context, plan, packed_a, inner);
    context.threads->parallel_for(down.row_blocks(), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) down.run(i);
    });
  }
  return inner;
}

// What the threads of gemm share.
struct Work {
  const Context& context;
  const Pieces& pieces;
  const char* packed_a = nullptr;  // null where threads or items pack their own
  float* inner = nullptr;          // null where threads make their own
  std::atomic<std::int64_t> untaken{0};
};

// One thread's pieces. Of streams it takes the next before it works on one, and asks for its
// weights meanwhile. Larger pieces are taken late, so that no thread waits long for another's last.
void run_pieces(Work& work) {
  const Pieces& pieces = work.pieces;
  std::int64_t at = work.untaken++;
  if (at >= pieces.count()) return;
  const bool streams = pieces.first_plan().blocking.streams();
  const char* a = streams ? pack_own_a(pieces.first_plan(), pieces[at]) : work.packed_a;
  float* inner = streams ? scratch(ScratchSlot::low_rank, pieces.inner_floats()) : work.inner;
  const GemmPlan* met = nullptr;
  while (at < pieces.count()) {
    const std::int64_t then = streams ? work.untaken++ : pieces.count();
    const GemmPiece piece = pieces[at];
    const bool low_rank = piece.plan->p.b.low_rank.rank > 0;
    if (low_rank && streams && piece.plan != met) {
      GemmWayDown(work.context, *piece.plan, a, inner).run(0);
    }
    met = piece.plan;
    multiply_piece(piece, pieces[then], a, low_rank ? inner + piece.plan->inner_at : nullptr);
    at = streams ? then : work.untaken++;
  }
}

}  // namespace

void gemm(const Context& context, const Gemm& product) {
  gemm(context, std::span(&product, 1));
}

void gemm(const Context& context, std::span<const Gemm> products) {
  if (products.empty() || products[0].rows == 0) return;
  const Pieces pieces(context, products);
  const GemmPlan& plan = pieces.first_plan();
  Work work{context, pieces};
  if (!plan.blocking.streams()) {
    const bool reused = pieces.count() > 1 || pieces.inner_floats() > 0;
    if (reused) work.packed_a = pack_all_of_a(context, plan);
    work.inner = multiply_down(context, pieces, work.packed_a);
  }
  const std::int64_t threads = std::min<std::int64_t>(context.threads->threads(), pieces.count());
  context.threads->parallel_for(threads, 1, [&](std::int64_t, std::int64_t) { run_pieces(work); });
}

}  // namespace headspark
