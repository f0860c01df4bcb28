// Blocking: an item is a block of rows times a group of panels. Per depth block, A's rows are
// copied once (L2), each panel is made fp32 in L1, and the micro-kernel runs over the rows.
#include "cpu/gemm.h"

#include <algorithm>
#include <cstring>

#include "cpu/kernel_table.h"
#include "cpu/scratch.h"

namespace headspark {
namespace {

// Rows of A kept in L2 at once: 192 * 272 * 4 bytes = 209 KB.
constexpr std::int64_t kMaxRowBlock = 192;
// Below this many rows, bf16 panels are expanded in registers instead of once into L1.
constexpr std::int64_t kExpandRows = 13;

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

// Parts for every thread, but panels enough per part to pay for the copy of A. The split changes no
// bits: every element is one chain.
Blocking choose_blocking(const Gemm& p, const PanelSpan& span, int threads) {
  Blocking blocking;
  blocking.row_blocks = ceil_divide(p.rows, kMaxRowBlock);
  // Whole tiles of 12 rows (6 on AVX2), so that only the last block has a remainder.
  blocking.row_block = ceil_divide(ceil_divide(p.rows, blocking.row_blocks), 12) * 12;
  blocking.row_blocks = ceil_divide(p.rows, blocking.row_block);
  const std::int64_t panels = span.end - span.begin;
  const std::int64_t wanted = ceil_divide(4 * threads, blocking.row_blocks);
  blocking.group = std::clamp<std::int64_t>(ceil_divide(panels, wanted), 2, 64);
  blocking.group += blocking.group % 2;  // whole pairs for AVX-512
  blocking.groups = ceil_divide(panels, blocking.group);
  return blocking;
}

class Item {
 public:
  Item(const Context& context, const Gemm& p, std::int64_t row, std::int64_t rows)
      : kernels_(kernel_table(context.isa)), p_(p), row_(row), rows_(rows) {}

  void run(const PanelSpan& span) {
    initialise(span);
    float* a = scratch(ScratchSlot::gemm_a, rows_ * kTileStride);
    for (std::int64_t k = 0; k < p_.depth; k += kDepthBlock) {
      const std::int64_t depth = std::min(kDepthBlock, p_.depth - k);
      copy_a(k, depth, a);
      for (std::int64_t panel = span.begin; panel < span.end; panel += 2) {
        multiply({panel, std::min(panel + 2, span.end)}, k, depth, a);
      }
    }
  }

 private:
  // First column of c that panel covers; below 0 when a slice starts inside the panel.
  std::int64_t column(std::int64_t panel) const { return panel * kPanelWidth - p_.b.first_column; }

  void initialise(const PanelSpan& span) {
    const std::int64_t begin = std::max<std::int64_t>(column(span.begin), 0);
    const std::int64_t end = std::min(column(span.end), p_.columns);
    for (std::int64_t r = row_; r < row_ + rows_; ++r) {
      float* c = p_.c + r * p_.c_stride;
      if (p_.bias == nullptr) {
        if (!p_.add_to_c) std::fill(c + begin, c + end, 0.0f);
        continue;
      }
      for (std::int64_t j = begin; j < end; ++j) {
        c[j] = p_.add_to_c ? c[j] + p_.bias[j] : p_.bias[j];
      }
    }
  }

  void copy_a(std::int64_t k, std::int64_t depth, float* a) const {
    for (std::int64_t r = 0; r < rows_; ++r) {
      const float* source = p_.a + (row_ + r) * p_.a_stride + k;
      float* target = a + r * kTileStride;
      if (p_.a_scale == 1.0f) {
        std::memcpy(target, source, static_cast<std::size_t>(depth) * sizeof(float));
      } else {
        for (std::int64_t i = 0; i < depth; ++i) target[i] = p_.a_scale * source[i];
      }
    }
  }

  // B of one or two panels as the micro-kernel reads it.
  void set_b(const PanelSpan& span, std::int64_t k, GemmTile& tile) const {
    const PackedPanels* packed = p_.b.packed;
    if (packed != nullptr) {
      tile.b = packed->at(span.begin, p_.b.first_depth + k);
      tile.b_dtype = packed->dtype;
      tile.panel_stride = packed->depth * kPanelWidth;
      if (packed->dtype == DType::f32 || rows_ < kExpandRows) return;
    }
    float* b = scratch(ScratchSlot::gemm_b, 2 * kDepthBlock * kPanelWidth);
    for (std::int64_t panel = span.begin; panel < span.end; ++panel) {
      float* target = b + (panel - span.begin) * tile.depth * kPanelWidth;
      if (packed != nullptr) {
        kernels_.expand_bf16(
            static_cast<const std::uint16_t*>(packed->at(panel, p_.b.first_depth + k)),
            tile.depth * kPanelWidth, target);
      } else {
        pack(panel, k, tile.depth, target);
      }
    }
    tile.b = b;
    tile.b_dtype = DType::f32;
    tile.panel_stride = tile.depth * kPanelWidth;
  }

  void pack(std::int64_t panel, std::int64_t k, std::int64_t depth, float* target) const {
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

  void multiply(const PanelSpan& span, std::int64_t k, std::int64_t depth, const float* a) const {
    GemmTile tile;
    tile.a = a;
    tile.rows = rows_;
    tile.depth = depth;
    tile.panels = span.end - span.begin;
    set_b(span, k, tile);
    if (p_.b.packed != nullptr && p_.b.packed->panels > span.end) {
      // The next panel of this depth block: DRAM's latency hides behind this one's products.
      tile.next_b = p_.b.packed->at(span.end, p_.b.first_depth + k);
      tile.next_bytes = depth * kPanelWidth * dtype_bytes(p_.b.packed->dtype);
    }
    const std::int64_t first = column(span.begin);
    const std::int64_t last = column(span.end);
    if (first >= 0 && last <= p_.columns) {
      tile.c = p_.c + row_ * p_.c_stride + first;
      tile.c_stride = p_.c_stride;
      return kernels_.gemm(tile);
    }
    // A panel sticks out: through a small buffer, with the same addition.
    float* edge = scratch(ScratchSlot::gemm_edge, rows_ * 2 * kPanelWidth);
    tile.c = edge;
    tile.c_stride = 2 * kPanelWidth;
    tile.accumulate = false;
    kernels_.gemm(tile);
    for (std::int64_t r = 0; r < rows_; ++r) {
      float* c = p_.c + (row_ + r) * p_.c_stride;
      const std::int64_t end = std::min(last, p_.columns);
      for (std::int64_t j = std::max<std::int64_t>(first, 0); j < end; ++j) {
        c[j] += edge[r * 2 * kPanelWidth + (j - first)];
      }
    }
  }

  const KernelTable& kernels_;
  const Gemm& p_;
  std::int64_t row_;
  std::int64_t rows_;
};

}  // namespace

void gemm(const Context& context, const Gemm& p) {
  if (p.rows == 0 || p.columns == 0) return;
  const PanelSpan all{p.b.first_column / kPanelWidth,
                      ceil_divide(p.b.first_column + p.columns, kPanelWidth)};
  const Blocking blocking = choose_blocking(p, all, context.threads->threads());
  const std::int64_t items = blocking.row_blocks * blocking.groups;
  context.threads->parallel_for(items, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t row = i % blocking.row_blocks * blocking.row_block;
      const std::int64_t first = all.begin + i / blocking.row_blocks * blocking.group;
      Item item(context, p, row, std::min(blocking.row_block, p.rows - row));
      item.run({first, std::min(first + blocking.group, all.end)});
    }
  });
}

}  // namespace headspark
