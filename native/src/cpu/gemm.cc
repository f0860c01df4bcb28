// Blocking: an item is a block of rows times a group of panels. Per depth block, A's rows are
// packed once (L2), panels are read as they lie or made fp32 in L1, and the micro-kernel runs over
// the rows.
#include "cpu/gemm.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "cpu/gemm_item.h"
#include "cpu/kernels/fetch.h"

namespace headspark {
namespace {

// So few rows are packed in less time than asking for weights takes.
constexpr std::int64_t kQuickRows = 4;

// Items of one block of rows share its packed A where splitting into terms makes that expensive.
// Rows that stay fp32 are packed by each item in its L2: to write all of a tall A and to read it
// again takes longer than to read it a few times.
bool shares_packed_a(const GemmPlan& plan) {
  return !plan.blocking.streams() && plan.kernels.gemm.packs_a;
}

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

/// A piece of a product, or of the way down of a product's low-rank term.
struct Piece {
  GemmPiece at;
  GemmWayDown* of = nullptr;     ///< the way down whose piece it is; null: of a product
  GemmWayDown* added = nullptr;  ///< of the term that is added to it; null: none
};

// The pieces of all products, one product after the other, after those of the ways down of their
// low-rank terms: whoever waits for a way down knows that all of its pieces have been taken.
class Pieces {
 public:
  Pieces(const Context& context, std::span<const Gemm> products) {
    std::int64_t inner_floats = 0;
    plans_.reserve(products.size());
    for (const Gemm& product : products) {
      plans_.emplace_back(context, product);
      inner_floats += product.rows * product.b.low_rank.rank;
    }
    if (inner_floats > 0) add_ways_down(context, scratch(ScratchSlot::low_rank, inner_floats));
    for (const auto& down : downs_) count_ += down ? down->plan().blocking.pieces() : 0;
    for (const GemmPlan& plan : plans_) count_ += plan.blocking.pieces();
  }

  std::int64_t count() const { return count_; }
  const GemmPlan& first_plan() const { return plans_.front(); }
  void finish() const {
    for (const auto& down : downs_) {
      if (down) down->finish();
    }
  }

  Piece operator[](std::int64_t index) const {
    for (const auto& down : downs_) {
      if (!down) continue;
      const std::int64_t count = down->plan().blocking.pieces();
      if (index < count) return {down->plan().piece(index), down.get(), nullptr};
      index -= count;
    }
    for (std::size_t i = 0; i < plans_.size(); ++i) {
      const std::int64_t count = plans_[i].blocking.pieces();
      if (index < count) return {plans_[i].piece(index), nullptr, down_of(i)};
      index -= count;
    }
    return {};
  }

 private:
  void add_ways_down(const Context& context, float* inner) {
    for (const GemmPlan& plan : plans_) {
      const std::int64_t rank = plan.p.b.low_rank.rank;
      downs_.push_back(rank > 0 ? std::make_unique<GemmWayDown>(context, plan, inner) : nullptr);
      inner += plan.p.rows * rank;
    }
  }
  GemmWayDown* down_of(std::size_t product) const {
    return downs_.empty() ? nullptr : downs_[product].get();
  }

  std::vector<GemmPlan> plans_;
  std::vector<std::unique_ptr<GemmWayDown>> downs_;  // of each product, or of none
  std::int64_t count_ = 0;
};

// What the threads of gemm share.
struct Work {
  const Pieces& pieces;
  const char* packed_a = nullptr;  // null where threads or items pack their own
  std::atomic<std::int64_t> untaken{0};
};

void multiply(const Piece& now, const Piece& then, const char* packed_a) {
  if (now.of == nullptr) return multiply_piece(now.at, then.at, packed_a, now.added);
  multiply_piece(now.at, then.at, now.of->packed(packed_a), nullptr);
  now.of->finish_piece();
}

// One thread's pieces. Of streams it takes the next before it works on one, and asks for its
// weights meanwhile. Larger pieces are taken late, so that no thread waits long for another's last.
void run_pieces(Work& work) {
  const Pieces& pieces = work.pieces;
  std::int64_t at = work.untaken++;
  if (at >= pieces.count()) return;
  const bool streams = pieces.first_plan().blocking.streams();
  const char* a = streams ? pack_own_a(pieces.first_plan(), pieces[at].at) : work.packed_a;
  while (at < pieces.count()) {
    const std::int64_t then = streams ? work.untaken++ : pieces.count();
    multiply(pieces[at], pieces[then], a);
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
  Work work{pieces};
  if (pieces.count() > 1 && shares_packed_a(plan)) work.packed_a = pack_all_of_a(context, plan);
  const std::int64_t threads = std::min<std::int64_t>(context.threads->threads(), pieces.count());
  context.threads->parallel_for(threads, 1, [&](std::int64_t, std::int64_t) {
    try {
      run_pieces(work);
    } catch (...) {
      pieces.finish();  // or others wait for what nobody makes
      throw;
    }
  });
}

}  // namespace headspark
