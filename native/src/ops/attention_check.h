// What every attention op asks of its shape and rows.
#pragma once

#include "headspark/ops/attention.h"
#include "ops/check.h"

namespace headspark {

inline void check_attention_shape(const AttentionShape& shape, const char* op) {
  check_argument(shape.heads > 0 && shape.kv_heads > 0 && shape.head_dim > 0, op,
                 "shape.heads, shape.kv_heads and shape.head_dim must be positive");
  check_argument(shape.heads % shape.kv_heads == 0, op,
                 "shape.heads is not a multiple of shape.kv_heads");
  check_argument(shape.window >= 0, op, "shape.window is negative");
}

// The layout's arrays are read on the host only when the buffers are there too.
inline void check_attention_layout(const Context& context, const RowLayout& layout,
                                   const char* op) {
  check_argument(layout.rows >= 0, op, "layout.rows is negative");
  if (layout.rows == 0) return;
  check_pointer(layout.row_begin, op, "layout.row_begin");
  if (layout.prefix_length != nullptr) {
    check_pointer(layout.prefix_begin, op, "layout.prefix_begin");
  }
  if (!context.on_cpu()) return;
  check_argument(layout.row_begin[0] >= 0, op, "layout.row_begin starts below 0");
  for (std::int32_t row = 0; row < layout.rows; ++row) {
    check_argument(layout.row_begin[row] <= layout.row_begin[row + 1], op,
                   "layout.row_begin is not ascending");
    check_argument(layout.prefix(row) >= 0, op, "layout.prefix_length is negative");
    check_argument(layout.prefix(row) == 0 ||
                       layout.prefix_begin[row] + layout.prefix(row) <= layout.store_tokens,
                   op, "a prefix ends after layout.store_tokens");
    const std::int32_t own = layout.row_begin[row + 1] - layout.row_begin[row];
    check_argument(layout.query_begin(row) >= 0 && layout.query_begin(row) <= own, op,
                   "layout.first_query is outside its row");
  }
  check_argument(layout.token_count == layout.row_begin[layout.rows], op,
                 "layout.token_count is not the end of layout.row_begin");
}

inline void check_gate(const HeadGate& gate, const char* op) {
  if (!gate.active() || gate.kind == Replacement::zero) return;
  check_pointer(gate.replacement, op, "gate.replacement");
  if (gate.kind == Replacement::token) {
    check_pointer(gate.replacement_begin, op, "gate.replacement_begin");
  }
}

}  // namespace headspark
