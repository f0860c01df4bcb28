// What both directions of the fast attention share: where the keys of one (row, kv head) lie, and
// the copies that the GEMM micro-kernel wants. Queries of all heads of a group are rows of one
// product, so grouped keys are packed once.
#pragma once

#include <algorithm>
#include <cstring>

#include "cpu/kernel_table.h"
#include "cpu/packed_weights.h"
#include "headspark/ops/attention.h"

namespace headspark {

inline std::int64_t round_up(std::int64_t x, std::int64_t unit) {
  return (x + unit - 1) / unit * unit;
}

/// The keys or values of one (row, kv head), prefix first.
struct ContextRows {
  const float* own = nullptr;     // first own token of this head
  const float* stored = nullptr;  // first prefix token of this head
  std::int64_t prefix = 0;
  std::int64_t count = 0;   // prefix + own
  std::int64_t stride = 0;  // kv_heads * head_dim

  const float* row(std::int64_t j) const {
    return j < prefix ? stored + j * stride : own + (j - prefix) * stride;
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
  std::int64_t prefix = 0;  // prefix tokens
  std::int64_t prefix_begin = 0;

  AttentionItem(const AttentionShape& s, const RowLayout& layout, std::int64_t item)
      : shape(s), row(item / s.kv_heads), kv_head(item % s.kv_heads), group(s.heads / s.kv_heads) {
    begin = layout.row_begin[row];
    own = layout.row_begin[row + 1] - begin;
    prefix = layout.prefix(static_cast<std::int32_t>(row));
    if (prefix > 0) prefix_begin = layout.prefix_begin[row];
  }
  std::int64_t context() const { return prefix + own; }
  std::int64_t padded_dim() const { return round_up(shape.head_dim, kPanelWidth); }
  /// Query head of flattened query f = token * group + member.
  std::int64_t head(std::int64_t f) const { return kv_head * group + f % group; }
  /// Offset of flattened query f in a [tokens, heads, head_dim] array.
  std::int64_t query(std::int64_t f) const {
    return ((begin + f / group) * shape.heads + head(f)) * shape.head_dim;
  }
  std::int64_t query_scalar(std::int64_t f) const {  // in a [tokens, heads] array
    return (begin + f / group) * shape.heads + head(f);
  }
  ContextRows rows(const float* x, const float* stored) const {
    ContextRows rows;
    rows.stride = shape.kv_heads * shape.head_dim;
    rows.own = x + begin * rows.stride + kv_head * shape.head_dim;
    rows.stored =
        prefix > 0 ? stored + prefix_begin * rows.stride + kv_head * shape.head_dim : nullptr;
    rows.prefix = prefix;
    rows.count = context();
    return rows;
  }
};

/// Panels of 16 keys, [panel][head_dim][16]: the B operand of q·k. Keys past the end are zero.
inline void pack_key_panels(const KernelTable& kernels, const ContextRows& x, std::int64_t head_dim,
                            float* panels) {
  for (std::int64_t first = 0; first < x.count; first += kPanelWidth) {
    const float* rows[kPanelWidth] = {};
    const std::int64_t width = std::min(kPanelWidth, x.count - first);
    for (std::int64_t j = 0; j < width; ++j) rows[j] = x.row(first + j);
    kernels.pack_rows({rows, head_dim, panels + first * head_dim});
  }
}

/// Panels of 16 dimensions, [panel][count][16]: the B operand of p·v.
struct ColumnPanels {
  std::int64_t count = 0;
  std::int64_t head_dim = 0;
  float scale = 1.0f;
  float* panels = nullptr;

  /// Row j of the matrix: head_dim floats.
  void set_row(std::int64_t j, const float* x) const {
    for (std::int64_t first = 0; first < head_dim; first += kPanelWidth) {
      float* target = panels + (first * count) + j * kPanelWidth;
      const std::int64_t width = std::min(kPanelWidth, head_dim - first);
      const float* source = x + first;
      if (width == kPanelWidth) {  // a fixed count: four SSE multiplications
        for (std::int64_t d = 0; d < kPanelWidth; ++d) target[d] = scale * source[d];
        continue;
      }
      for (std::int64_t d = 0; d < width; ++d) target[d] = scale * source[d];
      for (std::int64_t d = width; d < kPanelWidth; ++d) target[d] = 0.0f;
    }
  }
};

inline void pack_columns(const ContextRows& x, std::int64_t head_dim, float* panels) {
  const ColumnPanels columns{x.count, head_dim, 1.0f, panels};
  for (std::int64_t j = 0; j < x.count; ++j) columns.set_row(j, x.row(j));
}

/// a[rows, head_dim] b, with b as pack_key_panels makes it: head_dim may exceed one depth block.
struct HeadProduct {
  const float* a = nullptr;  ///< [depth block][row][kTileStride]
  std::int64_t rows = 0;
  std::int64_t max_rows = 0;  ///< rows of a's allocation
  const float* panels = nullptr;
  std::int64_t first_key = 0;  ///< a multiple of 16
  std::int64_t keys = 0;
  std::int64_t head_dim = 0;
  float* c = nullptr;  ///< [rows, keys rounded up to 16], stride kTileStride
};

inline void multiply_keys(const KernelTable& kernels, const HeadProduct& p) {
  for (std::int64_t d = 0; d < p.head_dim; d += kDepthBlock) {
    GemmTile tile;
    tile.a = p.a + d / kDepthBlock * p.max_rows * kTileStride;
    tile.rows = p.rows;
    tile.b = p.panels + p.first_key * p.head_dim + d * kPanelWidth;
    tile.panel_stride = p.head_dim * kPanelWidth;
    tile.panels = round_up(p.keys, kPanelWidth) / kPanelWidth;
    tile.depth = std::min(kDepthBlock, p.head_dim - d);
    tile.c = p.c;
    tile.c_stride = kTileStride;
    tile.accumulate = d > 0;
    kernels.gemm(tile);
  }
}

/// c[rows, padded head_dim] += a[rows, depth] b, with b as ColumnPanels, from its row `first`.
struct ColumnProduct {
  const float* a = nullptr;
  std::int64_t rows = 0;
  std::int64_t depth = 0;
  ColumnPanels b;
  std::int64_t first = 0;
  float* c = nullptr;
};

inline void multiply_columns(const KernelTable& kernels, const ColumnProduct& p) {
  GemmTile tile;
  tile.a = p.a;
  tile.rows = p.rows;
  tile.b = p.b.panels + p.first * kPanelWidth;
  tile.panel_stride = p.b.count * kPanelWidth;
  tile.panels = round_up(p.b.head_dim, kPanelWidth) / kPanelWidth;
  tile.depth = p.depth;
  tile.c = p.c;
  tile.c_stride = round_up(p.b.head_dim, kPanelWidth);
  kernels.gemm(tile);
}

/// Copies head_dim floats as row r of an A operand, scaled.
struct QueryRows {
  const KernelTable* kernels = nullptr;
  float* rows = nullptr;
  std::int64_t max_rows = 0;
  std::int64_t head_dim = 0;

  void set_row(std::int64_t r, const float* x, float scale) const {
    for (std::int64_t block = 0; block * kDepthBlock < head_dim; ++block) {
      float* target = rows + (block * max_rows + r) * kTileStride;
      const float* source = x + block * kDepthBlock;
      const std::int64_t width = std::min(kDepthBlock, head_dim - block * kDepthBlock);
      kernels->combine(scale, source, 0.0f, target, width);
    }
  }
  static std::int64_t size(std::int64_t max_rows, std::int64_t head_dim) {
    return round_up(head_dim, kDepthBlock) / kDepthBlock * max_rows * kTileStride;
  }
};

}  // namespace headspark
