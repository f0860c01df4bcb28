// How the specifications of attention address one head of one row.
#pragma once

#include <cstdint>

#include "headspark/ops/attention.h"

namespace headspark {

/// One (row, query head): where its keys and values lie.
struct HeadView {
  AttentionShape shape;
  std::int64_t head = 0;
  std::int64_t row = 0;
  std::int64_t begin = 0;   // first own token
  std::int64_t count = 0;   // own tokens
  std::int64_t first = 0;   // first own token that is a query
  std::int64_t prefix = 0;  // prefix tokens
  std::int64_t prefix_begin = 0;

  HeadView(const AttentionShape& s, const RowLayout& layout, std::int64_t item) : shape(s) {
    head = item % s.heads;
    row = item / s.heads;
    begin = layout.row_begin[row];
    count = layout.row_begin[row + 1] - begin;
    first = layout.query_begin(static_cast<std::int32_t>(row));
    prefix = layout.prefix(static_cast<std::int32_t>(row));
    if (prefix > 0) prefix_begin = layout.prefix_begin[row];
  }
  /// Offset of own token i in a [tokens, heads, head_dim] array.
  std::int64_t query(std::int64_t i) const {
    return ((begin + i) * shape.heads + head) * shape.head_dim;
  }
  /// The first of the context that own token i sees.
  std::int64_t first_key(std::int64_t i) const { return shape.first_key(prefix + i); }
  /// Key or value j of the context: the prefix first, then the own tokens.
  const float* context(const float* own, const float* stored, std::int64_t j) const {
    const std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
    const float* base = j < prefix ? stored : own;
    const std::int64_t token = j < prefix ? prefix_begin + j : begin + (j - prefix);
    return base + (token * shape.kv_heads + kv_head) * shape.head_dim;
  }
};

}  // namespace headspark
