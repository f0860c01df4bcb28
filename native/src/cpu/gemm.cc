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

void set_floats(const float* b, std::int64_t depth, GemmTile& tile) {
  tile.b = b;
  tile.layout = PanelLayout::f32;
  tile.panel_bytes = depth * kPanelWidth * 4;
  tile.b_terms = 1;
}

// The split changes no bits: every element is one chain.
Blocking choose_blocking(const Gemm& p, const Range& span, int threads,
                         const GemmKernels& kernels) {
  Blocking blocking;
  const std::int64_t most_rows = p.b.packed != nullptr
                                     ? kernels.row_block
                                     : 2 * kernels.row_block;  // every row block packs B again
  blocking.row_blocks = ceil_divide(p.rows, most_rows);
  // Whole register tiles, so that only the last block has a remainder.
  const std::int64_t share = ceil_divide(p.rows, blocking.row_blocks);
  blocking.row_block = ceil_divide(share, kernels.row_tile) * kernels.row_tile;
  blocking.row_blocks = ceil_divide(p.rows, blocking.row_block);
  const std::int64_t panels = span.count();
  blocking.streams = kernels.stream_panels > 0 && p.b.packed != nullptr && blocking.row_blocks == 1;
  if (blocking.streams) {
    // Equal items for the threads, in pairs of panels.
    const std::int64_t share = ceil_divide(panels, 2 * threads);
    const std::int64_t rounds = ceil_divide(2 * share, kernels.stream_panels);
    blocking.group = 2 * ceil_divide(share, rounds);
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

/// A problem with the choices that all its items share.
struct Plan {
  const Gemm& p;
  const KernelTable& kernels;
  Range span;  ///< whole panels of the operand; the first and last may stick out of the problem
  Blocking blocking;
  std::int64_t lead = 0;   ///< 1: packed pairs start one depth early, against a zero of A
  std::int64_t depth = 0;  ///< lead included
  std::int64_t depth_block = 0;

  Plan(const Context& context, const Gemm& problem)
      : p(problem),
        kernels(kernel_table(context)),
        span{p.b.first_column / kPanelWidth,
             ceil_divide(p.b.first_column + p.columns, kPanelWidth)},
        blocking(choose_blocking(p, span, context.threads->threads(), kernels.gemm)) {
    const bool pairs = p.b.packed != nullptr && p.b.packed->layout == PanelLayout::pairs;
    lead = pairs ? p.b.first_depth % 2 : 0;
    depth = p.depth + lead;
    depth_block = headspark::depth_block(kernels.gemm, depth);
  }

  /// The first block of depth of some panels.
  Fetch first_read(const Range& panels) const {
    const PackedPanels& packed = *p.b.packed;
    Fetch read;
    read.at = packed.at(panels.begin, p.b.first_depth - lead);
    read.bytes = depth_at(0) * (packed.panel_bytes() / packed.depth);
    read.stride = packed.panel_bytes();
    read.count = panels.count();
    return read;
  }
  std::int64_t depth_at(std::int64_t k) const { return std::min(depth_block, depth - k); }
  /// Bytes of the packed A of one row block, up to depth k.
  std::int64_t a_offset(std::int64_t k) const {
    std::int64_t bytes = 0;
    for (std::int64_t at = 0; at < k; at += depth_block) {
      bytes += kernels.gemm.a_bytes(blocking.row_block, depth_at(at));
    }
    return bytes;
  }
  void pack_a(std::int64_t row, std::int64_t count, std::int64_t k, char* a) const {
    PackRowsA pack;
    pack.lead = k == 0 ? lead : 0;
    pack.rows = p.a + row * p.a_stride + k - (k == 0 ? 0 : lead);
    pack.stride = p.a_stride;
    pack.count = count;
    pack.depth = depth_at(k) - pack.lead;
    pack.scale = p.a_scale;
    pack.a = a;
    kernels.gemm.pack_a(pack);
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
  const std::int64_t block_bytes = plan.a_offset(plan.depth);
  char* memory = reinterpret_cast<char*>(
      as_floats(plan.blocking.row_blocks * block_bytes, ScratchSlot::gemm_shared_a));
  const std::int64_t tiles_per_block = plan.blocking.row_block / kernels.row_tile;
  const std::int64_t tiles = ceil_divide(plan.p.rows, kernels.row_tile);
  context.threads->parallel_for(tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const std::int64_t row = tile * kernels.row_tile;
      const std::int64_t in_block = tile % tiles_per_block * kernels.row_tile;
      char* block = memory + tile / tiles_per_block * block_bytes;
      for (std::int64_t k = 0; k < plan.depth; k += plan.depth_block) {
        plan.pack_a(row, std::min(kernels.row_tile, plan.p.rows - row), k,
                    block + plan.a_offset(k) + kernels.a_bytes(in_block, plan.depth_at(k)));
      }
    }
  });
  return memory;
}

// All of A for this thread alone: of one block of rows that costs less than one more parallel loop
// and than reading what another core has written.
// Asks for the weights of the first piece meanwhile; of few rows that would only be a wait.
const char* pack_own_a(const Plan& plan, const Piece& first) {
  char* memory =
      reinterpret_cast<char*>(as_floats(plan.a_offset(plan.depth), ScratchSlot::gemm_shared_a));
  const GemmKernels& kernels = plan.kernels.gemm;
  Fetch read = first.plan->first_read(first.span);
  const std::int64_t steps =
      ceil_divide(plan.depth, plan.depth_block) * ceil_divide(plan.p.rows, kernels.row_tile);
  const std::int64_t share = plan.p.rows > kSharedRows ? fetch_share(read, steps) : 0;
  for (std::int64_t k = 0; k < plan.depth; k += plan.depth_block) {
    for_ranges(plan.p.rows, kernels.row_tile, [&](const Range& rows) {
      fetch_lines(read, share);
      plan.pack_a(rows.begin, rows.count(), k,
                  memory + plan.a_offset(k) + kernels.a_bytes(rows.begin, plan.depth_at(k)));
    });
  }
  return memory;
}

// A block of rows times a group of panels. C lies in scratch, whole panels wide, until its last
// depth block: it stays in L2, no panel sticks out of it, and the lines of c are written once.
class Item {
 public:
  /// `then`: what this thread takes next. `packed_a`: A in the blocks of rows and depth of the
  /// plan; null: the item packs its own.
  Item(const Piece& now, const Piece& then, const char* packed_a)
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
        direct_(plan_.blocking.streams && kernels_.gemm.writes_out && rows_ > kSharedRows &&
                plan_.depth > 0 && columns() == c_stride_),
        multiplying_(kernels_.gemm, rows_) {}

  void run() {
    const bool begun = begin_c();
    // One or two rows read many panels at once, so that enough chains are alive.
    const std::int64_t step = std::max<std::int64_t>(kernels_.gemm.panels, rows_ <= 2 ? 8 : 2);
    for (std::int64_t k = 0; k < plan_.depth; k += plan_.depth_block) {
      const void* a = operand_a(k);
      for (std::int64_t panel = span_.begin; panel < span_.end; panel += step) {
        multiply({panel, std::min(panel + step, span_.end)}, k, a, begun || k > 0);
      }
    }
    if (!direct_) copy_c();
  }

 private:
  // Column of the problem where the item begins; below 0 when a slice starts inside a panel.
  std::int64_t first_column() const { return span_.begin * kPanelWidth - p_.b.first_column; }
  // The columns that the item shares with the problem.
  std::int64_t begin_column() const { return std::max<std::int64_t>(first_column(), 0); }
  std::int64_t columns() const {
    return std::min(first_column() + c_stride_, p_.columns) - begin_column();
  }
  float* scratch_row(std::int64_t r) const {
    return c_ + r * c_stride_ + begin_column() - first_column();
  }

  // What the products are added to. False, and nothing written, where they overwrite.
  bool begin_c() const {
    if (p_.bias == nullptr && p_.initial == nullptr && plan_.depth > 0) return false;
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
    if (p_.rows * p_.columns >= kCachedC) return kernels_.copy_out(copy);
    for (std::int64_t r = 0; r < rows_; ++r) {
      std::copy_n(copy.from + r * copy.from_stride, copy.count, copy.to + r * copy.to_stride);
    }
  }

  const void* operand_a(std::int64_t k) const {
    if (packed_a_ != nullptr) {
      return packed_a_ + row_block_ * plan_.a_offset(plan_.depth) + plan_.a_offset(k);
    }
    const std::int64_t bytes = kernels_.gemm.a_bytes(rows_, plan_.depth_at(k));
    char* a = reinterpret_cast<char*>(as_floats(bytes, ScratchSlot::gemm_a));
    plan_.pack_a(row_, rows_, k, a);
    return a;
  }

  // B of a few panels as the micro-kernel reads it.
  void set_b(const Range& span, std::int64_t k, GemmTile& tile) const {
    const PackedPanels* packed = p_.b.packed;
    if (packed == nullptr) return pack_b(span, k, tile);
    read_packed(kernels_, *packed, span.begin, p_.b.first_depth - plan_.lead + k, tile);
  }

  // Panels made from a plain matrix, split where the level wants terms.
  void pack_b(const Range& span, std::int64_t k, GemmTile& tile) const {
    float* b = scratch(ScratchSlot::gemm_b, tile.panels * tile.depth * kPanelWidth);
    for (std::int64_t i = 0; i < tile.panels; ++i) {
      pack_panel(span.begin + i, k, tile.depth, b + i * tile.depth * kPanelWidth);
    }
    const int terms = kernels_.gemm.b_terms;
    if (terms == 0) return set_floats(b, tile.depth, tile);
    const std::int64_t panel = padded_depth(tile.depth) * kPanelWidth;
    auto* out = reinterpret_cast<std::uint16_t*>(
        as_floats(2 * terms * tile.panels * panel, ScratchSlot::gemm_b_terms));
    kernels_.gemm.split_panels({b, tile.depth * kPanelWidth, tile.panels, tile.depth, terms, out});
    tile.b = out;
    tile.layout = PanelLayout::pairs;
    tile.panel_bytes = 2 * panel;
    tile.b_terms = terms;
    tile.term_bytes = 2 * tile.panels * panel;
  }

  void pack_panel(std::int64_t panel, std::int64_t k, std::int64_t depth, float* target) const {
    const std::int64_t first = panel * kPanelWidth;
    const std::int64_t width = std::min(kPanelWidth, p_.columns - first);
    if (p_.b.by_column != nullptr) {
      const float* rows[kPanelWidth] = {};
      for (std::int64_t j = 0; j < width; ++j) {
        rows[j] = p_.b.by_column + (first + j) * p_.b.stride + k;
      }
      return kernels_.pack_rows({rows, depth, target});
    }
    for (std::int64_t i = 0; i < depth; ++i, target += kPanelWidth) {
      const float* source = p_.b.by_depth + (k + i) * p_.b.stride + first;
      std::copy_n(source, width, target);
      std::fill(target + width, target + kPanelWidth, 0.0f);
    }
  }

  void multiply(const Range& span, std::int64_t k, const void* a, bool accumulate) const {
    GemmTile tile;
    tile.a = a;
    tile.rows = rows_;
    tile.depth = plan_.depth_at(k);
    tile.panels = span.count();
    tile.c = c_ + (span.begin - span_.begin) * kPanelWidth;
    tile.c_stride = c_stride_;
    tile.accumulate = accumulate;
    if (direct_ && k + plan_.depth_block >= plan_.depth) {
      tile.out = p_.c + row_ * p_.c_stride + span.begin * kPanelWidth - p_.b.first_column;
      tile.out_stride = p_.c_stride;
    }
    set_b(span, k, tile);
    if (p_.b.packed != nullptr) set_next(span, k, tile);
    kernels_.gemm.multiply(tile);
  }

  // What is read after these panels: DRAM's latency hides behind their products.
  void set_next(const Range& span, std::int64_t k, GemmTile& tile) const {
    const PackedPanels& packed = *p_.b.packed;
    const std::int64_t first = p_.b.first_depth - plan_.lead;
    const std::int64_t depth_bytes = packed.panel_bytes() / packed.depth;
    const std::int64_t next_k = k + plan_.depth_block;
    // Levels that multiply all panels of an item at once go down in depth first.
    const bool down = kernels_.gemm.panels >= kernels_.gemm.item_panels;
    tile.next.stride = packed.panel_bytes();
    if (down && next_k < plan_.depth) {
      tile.next.at = packed.at(span.begin, first + next_k);
      tile.next.bytes = plan_.depth_at(next_k) * depth_bytes;
      tile.next.count = span.count();
    } else if (plan_.blocking.streams) {
      if (then_.plan != nullptr) tile.next = then_.plan->first_read(then_.span);
    } else if (packed.panels > span.end) {
      const std::int64_t next_depth = down ? 0 : k;
      tile.next.at = packed.at(span.end, first + next_depth);
      tile.next.bytes = plan_.depth_at(next_depth) * depth_bytes;
      tile.next.count = down ? std::min(span.count(), packed.panels - span.end) : 1;
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
  bool direct_;  // the last products of whole panels write the result themselves
  Multiplying multiplying_;
};

}  // namespace

std::int64_t depth_block(const GemmKernels& kernels, std::int64_t depth) {
  if (!kernels.equal_depths || depth == 0) return kernels.depth_block;
  const std::int64_t blocks = ceil_divide(depth, kernels.depth_block);
  return padded_depth(ceil_divide(depth, blocks));
}

void read_packed(const KernelTable& kernels, const PackedPanels& packed, std::int64_t panel,
                 std::int64_t k, GemmTile& tile) {
  tile.b = packed.at(panel, k);
  tile.layout = packed.layout;
  tile.panel_bytes = packed.panel_bytes();
  tile.b_terms = packed.terms;
  tile.term_bytes = packed.term_bytes();
  if (packed.layout == PanelLayout::f32 || tile.rows < kernels.gemm.expand_rows) return;
  const std::int64_t depth = tile.depth + tile.depth % 2;
  float* b = scratch(ScratchSlot::gemm_b, tile.panels * depth * kPanelWidth);
  for (std::int64_t i = 0; i < tile.panels; ++i) {
    kernels.expand_pairs(static_cast<const std::uint16_t*>(packed.at(panel + i, k)), depth,
                         b + i * depth * kPanelWidth);
  }
  set_floats(b, depth, tile);
}

namespace {

// The pieces of all products, one product after the other.
class Pieces {
 public:
  Pieces(const Context& context, std::span<const Gemm> products) {
    plans_.reserve(products.size());
    for (const Gemm& product : products) {
      plans_.emplace_back(context, product);
      const Blocking& blocking = plans_.back().blocking;
      count_ += blocking.row_blocks * blocking.groups;
    }
  }

  std::int64_t count() const { return count_; }
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
};

}  // namespace

void gemm(const Context& context, const Gemm& product) {
  gemm(context, std::span(&product, 1));
}

void gemm(const Context& context, std::span<const Gemm> products) {
  if (products.empty() || products[0].rows == 0) return;
  const Pieces pieces(context, products);
  const Plan& plan = pieces.first_plan();
  const bool streams = plan.blocking.streams;
  const bool shared = !streams && products[0].rows >= kSharedRows && pieces.count() > 1;
  const char* shared_a = shared ? pack_all_of_a(context, plan) : nullptr;
  // Of streams every thread takes its next piece before it works on one, and asks for its weights
  // meanwhile. Larger pieces are taken late, so that no thread waits long for another's last.
  std::atomic<std::int64_t> untaken{0};
  const std::int64_t threads = std::min<std::int64_t>(context.threads->threads(), pieces.count());
  context.threads->parallel_for(threads, 1, [&](std::int64_t, std::int64_t) {
    std::int64_t at = untaken++;
    const char* a = streams && at < pieces.count() ? pack_own_a(plan, pieces[at]) : shared_a;
    while (at < pieces.count()) {
      const std::int64_t then = streams ? untaken++ : pieces.count();
      Item(pieces[at], pieces[then], a).run();
      at = streams ? then : untaken++;
    }
  });
}

}  // namespace headspark
