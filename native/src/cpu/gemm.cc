// Blocking: an item is a block of rows times a group of panels. Per depth block, A's rows are
// packed once (L2), panels are read as they lie or made fp32 in L1, and the micro-kernel runs over
// the rows.
#include "cpu/gemm.h"

#include <algorithm>
#include <cstring>

#include "cpu/kernel_table.h"
#include "cpu/scratch.h"

namespace headspark {
namespace {

// Items per thread, so that the wait for the last one is short.
constexpr std::int64_t kItemsPerThread = 16;
// Every item reads the A of its rows. Deeper ones do not stay in L2, so they are read less often:
// fewer items of more panels.
constexpr std::int64_t kCachedA = 512 << 10;
constexpr std::int64_t kDeepItemsPerThread = 6;
// Fewer rows than this are packed by every item for itself: cheaper than one more parallel loop.
constexpr std::int64_t kSharedRows = 16;

// The columns of one item in whole panels; the first and last may stick out of the problem.
struct PanelSpan {
  std::int64_t begin = 0;  // panel of the operand
  std::int64_t end = 0;
};

struct Blocking {
  std::int64_t row_block = 0;
  std::int64_t row_blocks = 0;
  std::int64_t group = 0;  // panels per item
  std::int64_t groups = 0;
};

std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

float* as_floats(std::int64_t bytes, ScratchSlot slot) {
  return scratch(slot, ceil_divide(bytes, 4));
}

// The split changes no bits: every element is one chain.
Blocking choose_blocking(const Gemm& p, const PanelSpan& span, int threads,
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
  const std::int64_t panels = span.end - span.begin;
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
  PanelSpan span;
  Blocking blocking;
  std::int64_t lead = 0;   ///< 1: packed pairs start one depth early, against a zero of A
  std::int64_t depth = 0;  ///< lead included
  std::int64_t depth_block = 0;
  const char* packed_a = nullptr;  ///< all of A, where the level packs it; else every item copies

  Plan(const Context& context, const Gemm& problem)
      : p(problem),
        kernels(kernel_table(context)),
        span{p.b.first_column / kPanelWidth,
             ceil_divide(p.b.first_column + p.columns, kPanelWidth)},
        blocking(choose_blocking(p, span, context.threads->threads(), kernels.gemm)) {
    const bool pairs = p.b.packed != nullptr && p.b.packed->layout == PanelLayout::pairs;
    lead = pairs ? p.b.first_depth % 2 : 0;
    depth = p.depth + lead;
    depth_block = kernels.gemm.depth_block;
    if (kernels.gemm.equal_depths && depth > 0) {
      const std::int64_t blocks = ceil_divide(depth, depth_block);
      depth_block = padded_depth(ceil_divide(depth, blocks));
    }
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

// Items of one block of rows share its packed A, which splitting into terms makes expensive.
void pack_all_of_a(const Context& context, Plan& plan) {
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
  plan.packed_a = memory;
}

class Item {
 public:
  Item(const Plan& plan, std::int64_t row_block)
      : plan_(plan),
        p_(plan.p),
        kernels_(plan.kernels),
        row_block_(row_block),
        row_(row_block * plan.blocking.row_block),
        rows_(std::min(plan.blocking.row_block, p_.rows - row_)) {}

  std::int64_t rows() const { return rows_; }

  void run(const PanelSpan& span) {
    initialise(span);
    // One or two rows read many panels at once, so that enough chains are alive.
    const std::int64_t step = std::max<std::int64_t>(kernels_.gemm.panels, rows_ <= 2 ? 8 : 2);
    for (std::int64_t k = 0; k < plan_.depth; k += plan_.depth_block) {
      const void* a = operand_a(k);
      for (std::int64_t panel = span.begin; panel < span.end; panel += step) {
        multiply({panel, std::min(panel + step, span.end)}, k, a);
      }
    }
  }

 private:
  // First column of c that panel covers; below 0 when a slice starts inside the panel.
  std::int64_t column(std::int64_t panel) const { return panel * kPanelWidth - p_.b.first_column; }

  // Without bias and initial values, the first depth block overwrites c.
  bool overwrites() const { return p_.bias == nullptr && p_.initial == nullptr && p_.depth > 0; }

  void initialise(const PanelSpan& span) {
    if (overwrites()) return;
    const std::int64_t begin = std::max<std::int64_t>(column(span.begin), 0);
    const std::int64_t end = std::min(column(span.end), p_.columns);
    for (std::int64_t r = row_; r < row_ + rows_; ++r) {
      float* c = p_.c + r * p_.c_stride;
      const float* initial = p_.initial != nullptr ? p_.initial + r * p_.c_stride : nullptr;
      if (p_.bias == nullptr) {
        if (initial == nullptr) std::fill(c + begin, c + end, 0.0f);
        if (initial != nullptr && initial != c)
          std::copy(initial + begin, initial + end, c + begin);
        continue;
      }
      for (std::int64_t j = begin; j < end; ++j) {
        c[j] = initial != nullptr ? initial[j] + p_.bias[j] : p_.bias[j];
      }
    }
  }

  const void* operand_a(std::int64_t k) const {
    if (plan_.packed_a != nullptr) {
      return plan_.packed_a + row_block_ * plan_.a_offset(plan_.depth) + plan_.a_offset(k);
    }
    const std::int64_t bytes = kernels_.gemm.a_bytes(rows_, plan_.depth_at(k));
    char* a = reinterpret_cast<char*>(as_floats(bytes, ScratchSlot::gemm_a));
    plan_.pack_a(row_, rows_, k, a);
    return a;
  }

  // B of a few panels as the micro-kernel reads it.
  void set_b(const PanelSpan& span, std::int64_t k, GemmTile& tile) const {
    const PackedPanels* packed = p_.b.packed;
    if (packed == nullptr) return pack_b(span, k, tile);
    const std::int64_t at = p_.b.first_depth - plan_.lead + k;
    tile.b = packed->at(span.begin, at);
    tile.layout = packed->layout;
    tile.panel_bytes = packed->panel_bytes();
    tile.b_terms = packed->terms;
    tile.term_bytes = packed->term_bytes();
    if (packed->layout == PanelLayout::f32 || rows_ < kernels_.gemm.expand_rows) return;
    const std::int64_t depth = tile.depth + tile.depth % 2;
    float* b = scratch(ScratchSlot::gemm_b, tile.panels * depth * kPanelWidth);
    for (std::int64_t i = 0; i < tile.panels; ++i) {
      kernels_.expand_pairs(static_cast<const std::uint16_t*>(packed->at(span.begin + i, at)),
                            depth, b + i * depth * kPanelWidth);
    }
    set_floats(b, depth, tile);
  }

  static void set_floats(const float* b, std::int64_t depth, GemmTile& tile) {
    tile.b = b;
    tile.layout = PanelLayout::f32;
    tile.panel_bytes = depth * kPanelWidth * 4;
    tile.b_terms = 1;
  }

  // Panels made from a plain matrix, split where the level wants terms.
  void pack_b(const PanelSpan& span, std::int64_t k, GemmTile& tile) const {
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

  void multiply(const PanelSpan& span, std::int64_t k, const void* a) const {
    GemmTile tile;
    tile.a = a;
    tile.rows = rows_;
    tile.depth = plan_.depth_at(k);
    tile.panels = span.end - span.begin;
    tile.accumulate = k > 0 || !overwrites();
    set_b(span, k, tile);
    PanelSpan inside = span;
    if (column(span.begin) < 0) {
      multiply_edge({span.begin, ++inside.begin}, part(tile, span, {span.begin, span.begin + 1}));
    }
    if (column(span.end) > p_.columns && inside.begin < inside.end) {
      multiply_edge({--inside.end, span.end}, part(tile, span, {span.end - 1, span.end}));
    }
    if (inside.begin == inside.end) return;
    GemmTile middle = part(tile, span, inside);
    middle.c = p_.c + row_ * p_.c_stride + column(inside.begin);
    middle.c_stride = p_.c_stride;
    if (p_.b.packed != nullptr) set_next(inside, k, middle);
    kernels_.gemm.multiply(middle);
  }

  // What is read after these panels: DRAM's latency hides behind their products.
  void set_next(const PanelSpan& span, std::int64_t k, GemmTile& tile) const {
    const PackedPanels& packed = *p_.b.packed;
    const std::int64_t first = p_.b.first_depth - plan_.lead;
    const std::int64_t depth_bytes = packed.panel_bytes() / packed.depth;
    const std::int64_t next_k = k + plan_.depth_block;
    // Levels that multiply all panels of an item at once go down in depth first.
    const bool down = kernels_.gemm.panels >= kernels_.gemm.item_panels;
    if (down && next_k < plan_.depth) {
      tile.next_b = packed.at(span.begin, first + next_k);
      tile.next_bytes = plan_.depth_at(next_k) * depth_bytes;
    } else if (packed.panels > span.end) {
      const std::int64_t next_depth = down ? 0 : k;
      tile.next_b = packed.at(span.end, first + next_depth);
      tile.next_bytes = plan_.depth_at(next_depth) * depth_bytes;
    }
  }

  // Some panels of a tile that covers `span`.
  static GemmTile part(GemmTile tile, const PanelSpan& span, const PanelSpan& panels) {
    tile.b = static_cast<const char*>(tile.b) + (panels.begin - span.begin) * tile.panel_bytes;
    tile.panels = panels.end - panels.begin;
    return tile;
  }

  // A panel sticks out of c: through a small buffer that holds c's columns.
  void multiply_edge(const PanelSpan& panel, GemmTile tile) const {
    const std::int64_t from = column(panel.begin);
    const std::int64_t begin = std::max<std::int64_t>(from, 0);
    const std::int64_t count = std::min(from + kPanelWidth, p_.columns) - begin;
    float* edge = scratch(ScratchSlot::gemm_edge, rows_ * kPanelWidth);
    float* inside = edge + begin - from;
    float* c = p_.c + row_ * p_.c_stride + begin;
    if (tile.accumulate) std::fill_n(edge, rows_ * kPanelWidth, 0.0f);
    for (std::int64_t r = 0; tile.accumulate && r < rows_; ++r) {
      std::copy_n(c + r * p_.c_stride, count, inside + r * kPanelWidth);
    }
    tile.c = edge;
    tile.c_stride = kPanelWidth;
    kernels_.gemm.multiply(tile);
    for (std::int64_t r = 0; r < rows_; ++r) {
      std::copy_n(inside + r * kPanelWidth, count, c + r * p_.c_stride);
    }
  }

  const Plan& plan_;
  const Gemm& p_;
  const KernelTable& kernels_;
  std::int64_t row_block_;
  std::int64_t row_;
  std::int64_t rows_;
};

}  // namespace

void gemm(const Context& context, const Gemm& p) {
  if (p.rows == 0 || p.columns == 0) return;
  Plan plan(context, p);
  if (p.rows >= kSharedRows && plan.blocking.groups > 1) pack_all_of_a(context, plan);
  const Blocking& blocking = plan.blocking;
  const std::int64_t items = blocking.row_blocks * blocking.groups;
  context.threads->parallel_for(items, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = plan.span.begin + i / blocking.row_blocks * blocking.group;
      Item item(plan, i % blocking.row_blocks);
      const Multiplying multiplying(plan.kernels.gemm, item.rows());
      item.run({first, std::min(first + blocking.group, plan.span.end)});
    }
  });
}

}  // namespace headspark
