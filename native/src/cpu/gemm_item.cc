#include "cpu/gemm_item.h"

#include <algorithm>

#include "cpu/read_packed.h"

namespace headspark {
namespace {

// Floats of a result that is read again before it leaves the caches.
constexpr std::int64_t kCachedC = 1 << 19;
// Products of at most so many rows wait for their weights only.
constexpr std::int64_t kWaitingRows = 16;

// A block of rows times a group of panels. C lies in scratch, whole panels wide, until its last
// depth block: it stays in L2, no panel sticks out of it, and the lines of c are written once.
class Item {
 public:
  Item(const GemmPiece& now, const GemmPiece& then, const char* packed_a, const GemmWayDown* down)
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
        direct_(kernels_.gemm.writes_out && (plan_.blocking.streams() || !large()) &&
                rows_ > kWaitingRows && plan_.main.depth > 0 && columns() == c_stride_),
        down_(down),
        multiplying_(kernels_.gemm, rows_) {
    if (down == nullptr) return;
    const LowRankPanels& term = p_.b.low_rank;
    low_rank_ = plan_.sum_over(nullptr, term.rank, *term.up, {0, term.rank});
    low_rank_.a_scale = term.scale;
  }

  void run() {
    const bool begun = begin_c();
    const GemmSum& main = plan_.main;
    for (std::int64_t k = 0; k < main.depth; k += main.block) {
      const char* a = packed_a_;
      if (a != nullptr) a += row_block_ * plan_.a_offset(main.depth) + plan_.a_offset(k);
      add(main, k, a, begun || k > 0);
    }
    if (down_ != nullptr) low_rank_.a = down_->wait();
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
  const GemmSum& last_sum() const { return low_rank_.depth > 0 ? low_rank_ : plan_.main; }

  // c (+)= one block of depth of a sum; `a` is packed here where it is null.
  void add(const GemmSum& sum, std::int64_t k, const void* a, bool accumulate) const {
    if (a == nullptr) {
      const std::int64_t bytes = kernels_.gemm.a_bytes(rows_, sum.depth_at(k));
      char* packed = scratch_bytes(ScratchSlot::gemm_a, bytes);
      sum.pack_a(kernels_.gemm, row_, rows_, k, packed);
      a = packed;
    }
    // The panels of a stream are multiplied at once, so that enough chains are alive.
    const std::int64_t step = std::max<std::int64_t>(
        kernels_.gemm.panels, plan_.blocking.streams() ? kernels_.gemm.stream_panels : 0);
    for (std::int64_t panel = span_.begin; panel < span_.end; panel += step) {
      multiply(sum, {panel, std::min(panel + step, span_.end)}, k, a, accumulate);
    }
  }

  void multiply(const GemmSum& sum, const Range& span, std::int64_t k, const void* a,
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
    // Where all panels of an item are multiplied at once, it goes down in depth first.
    const bool down = plan_.blocking.streams() || kernels_.gemm.panels >= kernels_.gemm.item_panels;
    if (down && next_k < plan_.main.depth) {
      tile.next = plan_.read_at(span, next_k);
    } else if (plan_.blocking.streams()) {
      if (then_.plan != nullptr) tile.next = then_.plan->read_at(then_.span, 0);
    } else if (panels > span.end) {
      // Panels that are made fp32 are read at once, others while they are multiplied.
      const bool at_once = down || rows_ >= kernels_.gemm.expand_rows;
      const std::int64_t count = at_once ? std::min(span.count(), panels - span.end) : 1;
      tile.next = plan_.read_at({span.end, span.end + count}, down ? 0 : k);
    }
  }

  const GemmPlan& plan_;
  const Gemm& p_;
  const KernelTable& kernels_;
  const char* packed_a_;
  std::int64_t row_block_;
  std::int64_t row_;
  std::int64_t rows_;
  Range span_;
  GemmPiece then_;
  std::int64_t c_stride_;
  float* c_;
  bool direct_;  // the last products of whole panels write the result themselves
  const GemmWayDown* down_;
  GemmSum low_rank_ = {};  // depth 0: none; its rows are down_'s result
  Multiplying multiplying_;
};

Gemm first_factor(const Gemm& p, float* inner) {
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

}  // namespace

GemmWayDown::GemmWayDown(const Context& context, const GemmPlan& product, float* inner)
    : product_(first_factor(product.p, inner)),
      plan_(context, product_),
      same_depths_(plan_.main.lead == product.main.lead),
      unfinished_(static_cast<int>(plan_.blocking.pieces())) {}

void GemmWayDown::finish_piece() {
  if (--unfinished_ == 0) unfinished_.notify_all();
}

void GemmWayDown::finish() {
  unfinished_ = 0;
  unfinished_.notify_all();
}

const float* GemmWayDown::wait() const {
  for (int left = unfinished_; left > 0; left = unfinished_) unfinished_.wait(left);
  return product_.c;
}

void multiply_piece(const GemmPiece& now, const GemmPiece& then, const char* packed_a,
                    const GemmWayDown* down) {
  Item(now, then, packed_a, down).run();
}

}  // namespace headspark
