// What both directions of the fast attention share: where the keys of one (row, kv head) lie, and
// the copies that the GEMM micro-kernel wants. Queries of all heads of a group are rows of one
// product, so grouped keys are packed once.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cpu/kernel_table.h"
#include "cpu/packed_weights.h"
#include "cpu/range.h"
#include "cpu/scratch.h"
#include "headspark/ops/attention.h"

namespace headspark {

/// Keys or values of one (row, kv head) at some positions of its context, prefix first.
struct ContextRows {
  const float* own = nullptr;     // first own token of this head
  const float* stored = nullptr;  // first prefix token of this head
  std::int64_t prefix = 0;
  std::int64_t begin = 0;  // the first position
  std::int64_t count = 0;
  std::int64_t stride = 0;  // kv_heads * head_dim

  const float* row(std::int64_t j) const {
    const std::int64_t position = begin + j;
    return position < prefix ? stored + position * stride : own + (position - prefix) * stride;
  }
};

/// One (row, kv head) and its query heads.
struct AttentionItem {
  AttentionShape shape;
  std::int64_t row = 0;
  std::int64_t kv_head = 0;
  std::int64_t group = 0;   // query heads per kv head
  std::int64_t begin = 0;   // first own token of the batch
  std::int64_t own = 0;     // own tokens
  std::int64_t first = 0;   // first own token that is a query
  std::int64_t prefix = 0;  // prefix tokens
  std::int64_t prefix_begin = 0;

  AttentionItem(const AttentionShape& s, const RowLayout& layout, std::int64_t item)
      : shape(s), row(item / s.kv_heads), kv_head(item % s.kv_heads), group(s.heads / s.kv_heads) {
    begin = layout.row_begin[row];
    own = layout.row_begin[row + 1] - begin;
    first = layout.query_begin(static_cast<std::int32_t>(row));
    prefix = layout.prefix(static_cast<std::int32_t>(row));
    if (prefix > 0) prefix_begin = layout.prefix_begin[row];
  }
  std::int64_t context() const { return prefix + own; }
  /// Positions that own token i sees.
  Range seen(std::int64_t i) const { return {shape.first_key(prefix + i), prefix + i + 1}; }
  /// Those that some of the own tokens first … last see, from where the first one's chunk begins.
  Range chunks(std::int64_t first_token, std::int64_t last_token) const {
    return {round_down(seen(first_token).begin, kDepthBlock), seen(last_token).end};
  }
  std::int64_t padded_dim() const { return round_up(shape.head_dim, kPanelWidth); }
  /// Query head of flattened query f = token * group + member.
  std::int64_t head(std::int64_t f) const { return kv_head * group + f % group; }
  /// Offset of flattened query f in a [tokens, heads, head_dim] array.
  std::int64_t query(std::int64_t f) const {
    return ((begin + f / group) * shape.heads + head(f)) * shape.head_dim;
  }
  /// Floats from a query to the same head of the next token.
  std::int64_t token_stride() const { return shape.heads * shape.head_dim; }
  std::int64_t query_scalar(std::int64_t f) const {  // in a [tokens, heads] array
    return (begin + f / group) * shape.heads + head(f);
  }
  /// Keys or values at these positions.
  ContextRows rows(const float* x, const float* stored, const Range& positions) const {
    ContextRows rows;
    rows.stride = shape.kv_heads * shape.head_dim;
    rows.own = x + begin * rows.stride + kv_head * shape.head_dim;
    rows.stored =
        prefix > 0 ? stored + prefix_begin * rows.stride + kv_head * shape.head_dim : nullptr;
    rows.prefix = prefix;
    rows.begin = positions.begin;
    rows.count = positions.count();
    return rows;
  }
};

/// A B operand of one head: fp32 panels of 16 columns, [panel][depth][16], and their bf16 terms
/// where the level splits them.
struct HeadPanels {
  const GemmKernels* kernels = nullptr;
  std::int64_t count = 0;  // panels
  std::int64_t depth = 0;
  float* panels = nullptr;
  std::uint16_t* terms = nullptr;

  HeadPanels() = default;
  HeadPanels(const GemmKernels& level, std::int64_t columns, std::int64_t rows, ScratchSlot slot)
      : kernels(&level), count(round_up(columns, kPanelWidth) / kPanelWidth), depth(rows) {
    panels = scratch(slot, count * depth * kPanelWidth);
  }

  /// Row j of a [depth, columns] matrix, scaled.
  void set_row(std::int64_t j, const float* x, std::int64_t columns, float scale) const {
    for (std::int64_t first = 0; first < columns; first += kPanelWidth) {
      float* __restrict target = panels + first * depth + j * kPanelWidth;
      const std::int64_t width = std::min(kPanelWidth, columns - first);
      const float* __restrict source = x + first;
      if (width == kPanelWidth) {  // a fixed count of values that do not overlap: four SSE stores
        for (std::int64_t d = 0; d < kPanelWidth; ++d) target[d] = scale * source[d];
        continue;
      }
      for (std::int64_t d = 0; d < width; ++d) target[d] = scale * source[d];
      for (std::int64_t d = width; d < kPanelWidth; ++d) target[d] = 0.0f;
    }
  }

  /// After the panels are filled.
  void split(ScratchSlot slot) {
    if (kernels->b_terms == 0) return;
    const std::int64_t values = kernels->b_terms * count * padded_depth(depth) * kPanelWidth;
    terms = reinterpret_cast<std::uint16_t*>(scratch(slot, (values + 1) / 2));
    kernels->split_panels({panels, depth * kPanelWidth, count, depth, kernels->b_terms, terms});
  }

  /// B from `panel` and depth `at` (even) on.
  void set(GemmTile& tile, std::int64_t panel, std::int64_t at) const {
    if (terms == nullptr) {
      tile.b = panels + (panel * depth + at) * kPanelWidth;
      tile.panel_bytes = depth * kPanelWidth * 4;
      return;
    }
    const std::int64_t padded = padded_depth(depth);
    tile.b = terms + (panel * padded + at) * kPanelWidth;
    tile.layout = PanelLayout::pairs;
    tile.panel_bytes = padded * kPanelWidth * 2;
    tile.b_terms = kernels->b_terms;
    tile.term_bytes = count * tile.panel_bytes;
  }
};

/// Panels of 16 keys, [panel][head_dim][16]: the B operand of q·k. Keys past the end are zero.
inline HeadPanels key_panels(const KernelTable& kernels, const ContextRows& x,
                             std::int64_t head_dim, ScratchSlot slot, ScratchSlot terms) {
  HeadPanels panels(kernels.attention, x.count, head_dim, slot);
  for (std::int64_t first = 0; first < x.count; first += kPanelWidth) {
    const float* rows[kPanelWidth] = {};
    const std::int64_t width = std::min(kPanelWidth, x.count - first);
    for (std::int64_t j = 0; j < width; ++j) rows[j] = x.row(first + j);
    kernels.pack_rows({rows, head_dim, panels.panels + first * head_dim});
  }
  panels.split(terms);
  return panels;
}

/// Panels of 16 dimensions, [panel][count][16]: the B operand of p·v.
inline HeadPanels column_panels(const KernelTable& kernels, const ContextRows& x,
                                std::int64_t head_dim, ScratchSlot slot, ScratchSlot terms) {
  HeadPanels panels(kernels.attention, head_dim, x.count, slot);
  for (std::int64_t j = 0; j < x.count; ++j) panels.set_row(j, x.row(j), head_dim, 1.0f);
  panels.split(terms);
  return panels;
}

/// The A operand of fp32 rows of stride kTileStride: the rows themselves, or packed where the level
/// wants that.
inline const void* row_operand(const GemmKernels& kernels, const float* rows, std::int64_t count,
                               std::int64_t depth, ScratchSlot slot) {
  if (!kernels.packs_a) return rows;
  float* packed = scratch(slot, (kernels.a_bytes(count, depth) + 3) / 4);
  kernels.pack_a({rows, kTileStride, count, depth, 0, 1.0f, packed});
  return packed;
}

/// Rows of head_dim floats as an A operand: head_dim may exceed one depth block.
struct HeadRows {
  const KernelTable* kernels = nullptr;
  std::int64_t max_rows = 0;
  std::int64_t head_dim = 0;
  float* rows = nullptr;   // [depth block][row][kTileStride]
  char* packed = nullptr;  // the same by the level's pack_a

  HeadRows() = default;
  HeadRows(const KernelTable& table, std::int64_t most, std::int64_t dim, ScratchSlot slot,
           ScratchSlot packed_slot)
      : kernels(&table), max_rows(most), head_dim(dim) {
    rows = scratch(slot, blocks() * max_rows * kTileStride);
    if (!table.attention.packs_a) return;
    packed = reinterpret_cast<char*>(scratch(packed_slot, (blocks() * block_bytes() + 3) / 4));
  }
  std::int64_t blocks() const { return round_up(head_dim, kDepthBlock) / kDepthBlock; }
  std::int64_t block_bytes() const { return kernels->attention.a_bytes(max_rows, kDepthBlock); }
  std::int64_t depth_at(std::int64_t d) const { return std::min(kDepthBlock, head_dim - d); }

  void set_row(std::int64_t r, const float* x, float scale) const {
    for (std::int64_t d = 0; d < head_dim; d += kDepthBlock) {
      float* target = rows + (d / kDepthBlock * max_rows + r) * kTileStride;
      kernels->combine(scale, x + d, 0.0f, target, depth_at(d));
    }
  }
  /// After the first `count` rows are set.
  void finish(std::int64_t count) const {
    for (std::int64_t d = 0; packed != nullptr && d < head_dim; d += kDepthBlock) {
      kernels->attention.pack_a({rows + d / kDepthBlock * max_rows * kTileStride, kTileStride,
                                 count, depth_at(d), 0, 1.0f,
                                 packed + d / kDepthBlock * block_bytes()});
    }
  }
  const void* operand(std::int64_t d) const {
    const std::int64_t block = d / kDepthBlock;
    if (packed != nullptr) return packed + block * block_bytes();
    return rows + block * max_rows * kTileStride;
  }
};

/// c[rows, keys] = a keysᵀ, with b as key_panels makes it.
struct HeadProduct {
  const HeadRows* a = nullptr;
  std::int64_t rows = 0;
  const HeadPanels* b = nullptr;
  std::int64_t first_key = 0;  ///< a multiple of 16
  std::int64_t keys = 0;
  float* c = nullptr;  ///< [rows, keys rounded up to 16], stride kTileStride
};

inline void multiply_keys(const KernelTable& kernels, const HeadProduct& p) {
  for (std::int64_t d = 0; d < p.a->head_dim; d += kDepthBlock) {
    GemmTile tile;
    tile.a = p.a->operand(d);
    tile.rows = p.rows;
    p.b->set(tile, p.first_key / kPanelWidth, d);
    tile.panels = round_up(p.keys, kPanelWidth) / kPanelWidth;
    tile.depth = p.a->depth_at(d);
    tile.c = p.c;
    tile.c_stride = kTileStride;
    tile.accumulate = d > 0;
    kernels.attention.multiply(tile);
  }
}

struct SoftmaxRow {
  float largest = 0.0f;
  float sum = 0.0f;  ///< of exp(score - largest)
};

/// One query's scores of the keys `all`, in chunks of kDepthBlock keys that begin `chunk_stride`
/// floats apart, become exp(score - largest) of those that it sees and 0 elsewhere. all.begin is
/// where a chunk begins. A NaN is not the largest, but it stays one, and the sum becomes one.
inline SoftmaxRow softmax_row(const KernelTable& kernels, float* scores, std::int64_t chunk_stride,
                              const Range& seen, const Range& all) {
  SoftmaxRow row{-HUGE_VALF, 0.0f};
  const auto for_chunks = [&](const auto& body) {
    float* chunk = scores;
    for (std::int64_t key = all.begin; key < all.end; key += kDepthBlock, chunk += chunk_stride) {
      const std::int64_t size = std::min(kDepthBlock, all.end - key);
      body(chunk, in_chunk(seen, key, size), size);
    }
  };
  for_chunks([&](const float* chunk, const Range& own, std::int64_t) {
    row.largest = std::max(row.largest, kernels.largest_number(chunk + own.begin, own.count()));
  });
  for_chunks([&](float* chunk, const Range& own, std::int64_t size) {
    std::fill_n(chunk, own.begin, 0.0f);
    row.sum += kernels.exp_in_place(chunk + own.begin, own.count(), size - own.begin, row.largest);
  });
  return row;
}

/// c[rows, padded head_dim] += a[rows, depth] b, with b as column_panels, from its row `first`.
struct ColumnProduct {
  const float* a = nullptr;  ///< stride kTileStride
  std::int64_t rows = 0;
  std::int64_t depth = 0;
  const HeadPanels* b = nullptr;
  std::int64_t first = 0;  ///< even
  float* c = nullptr;
};

inline void multiply_columns(const KernelTable& kernels, const ColumnProduct& p) {
  GemmTile tile;
  tile.a = row_operand(kernels.attention, p.a, p.rows, p.depth, ScratchSlot::packed_rows);
  tile.rows = p.rows;
  p.b->set(tile, 0, p.first);
  tile.panels = p.b->count;
  tile.depth = p.depth;
  tile.c = p.c;
  tile.c_stride = p.b->count * kPanelWidth;
  kernels.attention.multiply(tile);
}

}  // namespace headspark
