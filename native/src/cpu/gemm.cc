// Blocking: an item is a block of rows times a group of panels. Per depth block, A's rows are
// packed once (L2), panels are read as they lie or made fp32 in L1, and the micro-kernel runs over
// the rows.
#include "cpu/gemm.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "cpu/kernel_table.h"
#include "cpu/kernels/fetch.h"
#include "cpu/range.h"
#include "cpu/read_packed.h"
#include "cpu/scratch.h"

namespace headspark {
namespace {

// Items per thread, so that the wait for the last one is short.
constexpr std::int64_t kItemsPerThread = 16;
// Every item reads the A of its rows. Deeper ones do not stay in L2, so they are read less often:
// fewer items of more panels.
constexpr std::int64_t kCachedA = 512 << 10;
constexpr std::int64_t kDeepItemsPerThread = 6;
// Floats of a result that is read again before it leaves the caches.
constexpr std::int64_t kCachedC = 1 << 19;
// Fewer rows than this are packed by every item for itself: cheaper than one more parallel loop.
constexpr std::int64_t kSharedRows = 16;

struct Blocking {
  std::int64_t row_block = 0;
  std::int64_t row_blocks = 0;
  std::int64_t group = 0;  // panels per item
  std::int64_t groups = 0;
  bool streams = false;  // items go down all depths of few panels
};

float* as_floats(std::int64_t bytes, ScratchSlot slot) {
  return scratch(slot, ceil_divide(bytes, 4));
}

// The split changes no bits: every element is one chain.
Blocking choose_blocking(const Gemm& p, const Range& span, int threads,
                         const GemmKernels& kernels) {
  Blocking blocking;
  blocking.row_blocks = ceil_divide(p.rows, kernels.row_block);
  // Whole register tiles, so that only the last block has a remainder.
  const std::int64_t share = ceil_divide(p.rows, blocking.row_blocks);
  blocking.row_block = ceil_divide(share, kernels.row_tile) * kernels.row_tile;
  blocking.row_blocks = ceil_divide(p.rows, blocking.row_block);
  const std::int64_t panels = span.count();
  blocking.streams = kernels.stream_panels > 0 && blocking.row_blocks == 1;
  if (blocking.streams) {
    // Equal items for the threads, in pairs of panels.
    const std::int64_t pairs = ceil_divide(panels, 2 * threads);
    const std::int64_t rounds = ceil_divide(2 * pairs, kernels.stream_panels);
    blocking.group = 2 * ceil_divide(pairs, rounds);
    blocking.groups = ceil_divide(panels, blocking.group);
    return blocking;
  }
  const bool deep = blocking.row_block * p.depth * 4 > kCachedA;
  std::int64_t items = deep ? kDeepItemsPerThread : kItemsPerThread;
  if (kernels.items_per_thread > 0) items = kernels.items_per_thread;
  const std::int64_t wanted = ceil_divide(items * threads, blocking.row_blocks);
  blocking.group = std::clamp<std::int64_t>(ceil_divide(panels, wanted), 2, kernels.item_panels);
  blocking.group += blocking.group % 2;  // whole pairs for AVX-512 and tiles
  blocking.groups = ceil_divide(panels, blocking.group);
  return blocking;
}

/// The rows of one operand against the depths of another, in blocks of depth.
struct Sum {
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  float a_scale = 1.0f;
  const PackedPanels* b = nullptr;
  std::int64_t first_depth = 0;  ///< of b, lead included
  std::int64_t lead = 0;         ///< 1: packed pairs start one depth early, against a zero of A
  std::int64_t depth = 0;        ///< lead included
  std::int64_t block = 0;

  std::int64_t depth_at(std::int64_t k) const { return std::min(block, depth - k); }
  void pack_a(const GemmKernels& kernels, std::int64_t row, std::int64_t count, std::int64_t k,
              char* packed) const {
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
};

/// A problem with the choices that all its items share.
struct Plan {
  const Gemm& p;
  const KernelTable& kernels;
  Range span;  ///< whole panels of the operand; the first and last may stick out of the problem
  Blocking blocking;
  Sum main;
  std::int64_t inner_at = 0;  ///< of a low-rank term, in floats: see Pieces

  Plan(const Context& context, const Gemm& problem)
      : p(problem),
        kernels(kernel_table(context)),
        span{p.first_column / kPanelWidth, ceil_divide(p.first_column + p.columns, kPanelWidth)},
        blocking(choose_blocking(p, span, context.threads->threads(), kernels.gemm)) {
    main = sum_over(p.a, p.a_stride, *p.b.main, {p.first_depth, p.first_depth + p.depth});
  }

  Sum sum_over(const float* a, std::int64_t a_stride, const PackedPanels& b,
               const Range& depths) const {
    Sum sum;
    sum.a = a;
    sum.a_stride = a_stride;
    sum.b = &b;
    sum.lead = b.layout != PanelLayout::f32 ? depths.begin % 2 : 0;
    sum.first_depth = depths.begin - sum.lead;
    sum.depth = depths.count() + sum.lead;
    sum.block = depth_block(kernels.gemm, sum.depth);
    return sum;
  }
  /// The block of depth at k of some panels.
  Fetch read_at(const Range& panels, std::int64_t k) const {
    const std::int64_t begin = main.first_depth + k;
    return read_of(*main.b, panels, {begin, begin + main.depth_at(k)});
  }
  /// Bytes of the packed A of one row block, up to depth k.
  std::int64_t a_offset(std::int64_t k) const {
    std::int64_t bytes = 0;
    for (std::int64_t at = 0; at < k; at += main.block) {
      bytes += kernels.gemm.a_bytes(blocking.row_block, main.depth_at(at));
    }
    return bytes;
  }
};

/// What a thread does at once: a block of rows times a group of panels.
struct Piece {
  const Plan* plan = nullptr;  ///< null: nothing
  std::int64_t row_block = 0;
  Range span;
};

// Items of one block of rows share its packed A, which splitting into terms makes expensive.
const char* pack_all_of_a(const Context& context, const Plan& plan) {
  const GemmKernels& kernels = plan.kernels.gemm;
  const std::int64_t block_bytes = plan.a_offset(plan.main.depth);
  char* memory = reinterpret_cast<char*>(
      as_floats(plan.blocking.row_blocks * block_bytes, ScratchSlot::gemm_shared_a));
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
// and than reading what another core has written.
// Asks for the weights of the first piece meanwhile; of few rows that would only be a wait.
const char* pack_own_a(const Plan& plan, const Piece& first) {
  char* memory = reinterpret_cast<char*>(
      as_floats(plan.a_offset(plan.main.depth), ScratchSlot::gemm_shared_a));
  const GemmKernels& kernels = plan.kernels.gemm;
  Fetch read = first.plan->read_at(first.span, 0);
  const Sum& sum = plan.main;
  const std::int64_t steps =
      ceil_divide(sum.depth, sum.block) * ceil_divide(plan.p.rows, kernels.row_tile);
  const std::int64_t share = plan.p.rows > kSharedRows ? fetch_share(read, steps) : 0;
  for (std::int64_t k = 0; k < sum.depth; k += sum.block) {
    for_ranges(plan.p.rows, kernels.row_tile, [&](const Range& rows) {
      fetch_lines(read, share);
      char* at = memory + plan.a_offset(k) + kernels.a_bytes(rows.begin, sum.depth_at(k));
      sum.pack_a(kernels, rows.begin, rows.count(), k, at);
    });
  }
  return memory;
}

// A block of rows times a group of panels. C lies in scratch, whole panels wide, until its last
// depth block: it stays in L2, no panel sticks out of it, and the lines of c are written once.
class Item {
 public:
  /// `then`: what this thread takes next. `packed_a`: A in the blocks of rows and depth of the
  /// plan; null: the item packs its own. `inner`: all rows of A times the way down of a low-rank
  /// term, which is then added; null: no such term.
  Item(const Piece& now, const Piece& then, const char* packed_a, const float* inner)
      : plan_(*now.plan),
        p_(plan_.p),
        kernels_(plan_.kernels),
        packed_a_(packed_a),
        row_block_(now.row_block),
        row_(row_block_ * plan_.blocking.row_block),
        rows_(std::min(plan_.blocking.row_block, p_.rows - row_)),
        span_(now.span),
        then_(then),
        c_stride_(span_.count() * kPanelWidth),
        c_(scratch(ScratchSlot::gemm_c, rows_ * c_stride_)),
        direct_(kernels_.gemm.writes_out && (plan_.blocking.streams || !large()) &&
                rows_ > kSharedRows && plan_.main.depth > 0 && columns() == c_stride_),
        multiplying_(kernels_.gemm, rows_) {
    if (inner == nullptr) return;
    const LowRankPanels& term = p_.b.low_rank;
    low_rank_ = plan_.sum_over(inner, term.rank, *term.up, {0, term.rank});
    low_rank_.a_scale = term.scale;
  }

  void run() {
    const bool begun = begin_c();
    const Sum& main = plan_.main;
    for (std::int64_t k = 0; k < main.depth; k += main.block) {
      const char* a = packed_a_;
      if (a != nullptr) a += row_block_ * plan_.a_offset(main.depth) + plan_.a_offset(k);
      add(main, k, a, begun || k > 0);
    }
    for (std::int64_t k = 0; k < low_rank_.depth; k += low_rank_.block) {
      add(low_rank_, k, nullptr, true);
    }
    if (!direct_) copy_c();
  }

 private:
  // Column of the problem where the item begins; below 0 when a slice starts inside a panel.
  std::int64_t first_column() const { return span_.begin * kPanelWidth - p_.first_column; }
  // The columns that the item shares with the problem.
  std::int64_t begin_column() const { return std::max<std::int64_t>(first_column(), 0); }
  std::int64_t columns() const {
    return std::min(first_column() + c_stride_, p_.columns) - begin_column();
  }
  // Whether the result is written past the caches.
  bool large() const { return p_.rows * p_.columns >= kCachedC; }
  float* scratch_row(std::int64_t r) const {
    return c_ + r * c_stride_ + begin_column() - first_column();
  }

  // What the products are added to. False, and nothing written, where they overwrite.
  bool begin_c() const {
    if (p_.bias == nullptr && p_.initial == nullptr && plan_.main.depth > 0) return false;
    if (columns() < c_stride_) std::fill_n(c_, rows_ * c_stride_, 0.0f);
    const std::int64_t begin = begin_column();
    const std::int64_t count = columns();
    const float* bias = p_.bias != nullptr ? p_.bias + begin : nullptr;
    for (std::int64_t r = 0; r < rows_; ++r) {
      float* row = scratch_row(r);
      if (p_.initial != nullptr) {
        std::copy_n(p_.initial + (row_ + r) * p_.c_stride + begin, count, row);
      } else {
        std::fill_n(row, count, 0.0f);
      }
      for (std::int64_t j = 0; bias != nullptr && j < count; ++j) row[j] += bias[j];
    }
    return true;
  }

  void copy_c() const {
    CopyOut copy;
    copy.from = scratch_row(0);
    copy.from_stride = c_stride_;
    copy.to = p_.c + row_ * p_.c_stride + begin_column();
    copy.to_stride = p_.c_stride;
    copy.rows = rows_;
    copy.count = columns();
    if (large()) return kernels_.copy_out(copy);
    for (std::int64_t r = 0; r < rows_; ++r) {
      std::copy_n(copy.from + r * copy.from_stride, copy.count, copy.to + r * copy.to_stride);
    }
  }

  // The sum after which c is done.
  const Sum& last_sum() const { return low_rank_.depth > 0 ? low_rank_ : plan_.main; }

  // c (+)= one block of depth of a sum; `a` is packed here where it is null.
  void add(const Sum& sum, std::int64_t k, const void* a, bool accumulate) const {
    if (a == nullptr) {
      const std::int64_t bytes = kernels_.gemm.a_bytes(rows_, sum.depth_at(k));
      char* packed = reinterpret_cast<char*>(as_floats(bytes, ScratchSlot::gemm_a));
      sum.pack_a(kernels_.gemm, row_, rows_, k, packed);
      a = packed;
    }
    // One or two rows read many panels at once, so that enough chains are alive.
    const std::int64_t step = std::max<std::int64_t>(kernels_.gemm.panels, rows_ <= 2 ? 8 : 2);
    for (std::int64_t panel = span_.begin; panel < span_.end; panel += step) {
      multiply(sum, {panel, std::min(panel + step, span_.end)}, k, a, accumulate);
    }
  }

  void multiply(const Sum& sum, const Range& span, std::int64_t k, const void* a,
                bool accumulate) const {
    GemmTile tile;
    tile.a = a;
    tile.rows = rows_;
    tile.depth = sum.depth_at(k);
    tile.panels = span.count();
    tile.c = c_ + (span.begin - span_.begin) * kPanelWidth;
    tile.c_stride = c_stride_;
    tile.accumulate = accumulate;
    if (direct_ && &sum == &last_sum() && k + sum.block >= sum.depth) {
      tile.out = p_.c + row_ * p_.c_stride + span.begin * kPanelWidth - p_.first_column;
      tile.out_stride = p_.c_stride;
    }
    read_packed(kernels_, *sum.b, span.begin, sum.first_depth + k, tile);
    if (&sum == &plan_.main) set_next(span, k, tile);
    kernels_.gemm.multiply(tile);
  }

  // What is read after these panels: DRAM's latency hides behind their products.
  void set_next(const Range& span, std::int64_t k, GemmTile& tile) const {
    const std::int64_t next_k = k + plan_.main.block;
    const std::int64_t panels = plan_.main.b->panels;
    // Levels that multiply all panels of an item at once go down in depth first.
    const bool down = kernels_.gemm.panels >= kernels_.gemm.item_panels;
    if (down && next_k < plan_.main.depth) {
      tile.next = plan_.read_at(span, next_k);
    } else if (plan_.blocking.streams) {
      if (then_.plan != nullptr) tile.next = then_.plan->read_at(then_.span, 0);
    } else if (panels > span.end) {
      const std::int64_t count = down ? std::min(span.count(), panels - span.end) : 1;
      tile.next = plan_.read_at({span.end, span.end + count}, down ? 0 : k);
    }
  }

  const Plan& plan_;
  const Gemm& p_;
  const KernelTable& kernels_;
  const char* packed_a_;
  std::int64_t row_block_;
  std::int64_t row_;
  std::int64_t rows_;
  Range span_;
  Piece then_;
  std::int64_t c_stride_;
  float* c_;
  bool direct_;        // the last products of whole panels write the result themselves
  Sum low_rank_ = {};  // depth 0: none
  Multiplying multiplying_;
};

// The pieces of all products, one product after the other.
class Pieces {
 public:
  Pieces(const Context& context, std::span<const Gemm> products) {
    plans_.reserve(products.size());
    for (const Gemm& product : products) {
      Plan& plan = plans_.emplace_back(context, product);
      plan.inner_at = inner_floats_;
      count_ += plan.blocking.row_blocks * plan.blocking.groups;
      inner_floats_ += product.rows * product.b.low_rank.rank;
    }
  }

  std::int64_t count() const { return count_; }
  /// What the low-rank terms have between their two factors, [rows, rank] each.
  std::int64_t inner_floats() const { return inner_floats_; }
  const std::vector<Plan>& plans() const { return plans_; }
  const Plan& first_plan() const { return plans_.front(); }

  Piece operator[](std::int64_t index) const {
    for (const Plan& plan : plans_) {
      const Blocking& blocking = plan.blocking;
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
  std::vector<Plan> plans_;
  std::int64_t count_ = 0;
  std::int64_t inner_floats_ = 0;
};

// The first factor of a low-rank term: inner = a down, from the packed A of the product itself.
class WayDown {
 public:
  WayDown(const Context& context, const Plan& plan, const char* packed_a, float* inner)
      : product_(first_factor(plan.p, inner + plan.inner_at)),
        plan_(context, product_),
        packed_a_(plan_.main.lead == plan.main.lead ? packed_a : nullptr) {}

  std::int64_t row_blocks() const { return plan_.blocking.row_blocks; }
  void run(std::int64_t row_block) const {
    Item({&plan_, row_block, plan_.span}, {}, packed_a_, nullptr).run();
  }

 private:
  static Gemm first_factor(const Gemm& p, float* inner) {
    Gemm down;
    down.rows = p.rows;
    down.columns = p.b.low_rank.rank;
    down.depth = p.depth;
    down.a = p.a;
    down.a_stride = p.a_stride;
    down.b.main = p.b.low_rank.down;
    down.first_depth = p.first_depth;
    down.c = inner;
    down.c_stride = p.b.low_rank.rank;
    return down;
  }

  Gemm product_;
  Plan plan_;
  const char* packed_a_;
};

// The first factors of all products, for all threads.
float* multiply_down(const Context& context, const Pieces& pieces, const char* packed_a) {
  float* inner = scratch(ScratchSlot::low_rank, pieces.inner_floats());
  for (const Plan& plan : pieces.plans()) {
    if (plan.p.b.low_rank.rank == 0) continue;
    const WayDown down(context, plan, packed_a, inner);
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
  const bool streams = pieces.first_plan().blocking.streams;
  const char* a = streams ? pack_own_a(pieces.first_plan(), pieces[at]) : work.packed_a;
  float* inner = streams ? scratch(ScratchSlot::low_rank, pieces.inner_floats()) : work.inner;
  const Plan* met = nullptr;
  while (at < pieces.count()) {
    const std::int64_t then = streams ? work.untaken++ : pieces.count();
    const Piece piece = pieces[at];
    const bool low_rank = piece.plan->p.b.low_rank.rank > 0;
    if (low_rank && streams && piece.plan != met) {
      WayDown(work.context, *piece.plan, a, inner).run(0);
    }
    met = piece.plan;
    Item(piece, pieces[then], a, low_rank ? inner + piece.plan->inner_at : nullptr).run();
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
  const Plan& plan = pieces.first_plan();
  Work work{context, pieces};
  if (!plan.blocking.streams) {
    const bool reused = pieces.count() > 1 || pieces.inner_floats() > 0;
    if (products[0].rows >= kSharedRows && reused) work.packed_a = pack_all_of_a(context, plan);
    work.inner = multiply_down(context, pieces, work.packed_a);
  }
  const std::int64_t threads = std::min<std::int64_t>(context.threads->threads(), pieces.count());
  context.threads->parallel_for(threads, 1, [&](std::int64_t, std::int64_t) { run_pieces(work); });
}

}  // namespace headspark
