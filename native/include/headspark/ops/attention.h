// Fused causal attention with online softmax (arXiv 2205.14135): no [T, T] matrix is kept. It may
// have a sliding window (arXiv 2310.06825, section 2). Gates per (row, head) act in the epilogue,
// where z is written: see src/ops/attention_cpu.cc.
#pragma once

#include <cstdint>

#include "headspark/context.h"
#include "headspark/head_gate.h"
#include "headspark/row_layout.h"

namespace headspark {

struct AttentionShape {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  ///< query head h reads key/value head h / (heads / kv_heads)
  std::int64_t head_dim = 0;
  float scale = 0.0f;       ///< usually 1 / sqrt(head_dim)
  std::int64_t window = 0;  ///< a query sees so many tokens, its own the last; 0: all up to it

  /// The first position that a query at `position` sees.
  constexpr std::int64_t first_key(std::int64_t position) const {
    return window > 0 && position >= window ? position + 1 - window : 0;
  }
};

struct AttentionForward {
  AttentionShape shape;
  RowLayout layout;
  const float* q = nullptr;         ///< [tokens, heads, head_dim]
  const float* k = nullptr;         ///< [tokens, kv_heads, head_dim]
  const float* v = nullptr;         ///< [tokens, kv_heads, head_dim]
  const float* prefix_k = nullptr;  ///< [store tokens, kv_heads, head_dim]; may be null
  const float* prefix_v = nullptr;
  HeadGate gate;
  /// [tokens, heads, head_dim], gated; every element is written but those before layout.first_query
  float* z = nullptr;
  float* raw = nullptr;  ///< the same before the gate, or null; backward wants it when gated
  float* lse = nullptr;  ///< [tokens, heads] log-sum-exp of the scaled scores, or null
};

struct AttentionBackward {
  AttentionShape shape;
  RowLayout layout;
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  const float* prefix_k = nullptr;
  const float* prefix_v = nullptr;
  const float* raw = nullptr;  ///< [tokens, heads, head_dim] ungated output of the forward
  const float* lse = nullptr;  ///< [tokens, heads] of the forward
  HeadGate gate;               ///< the forward's; only scale and range matter: d_raw = s * d_z
  /// [tokens, heads, head_dim]; must be 0 before layout.first_query, and so is d_q then. q is
  /// finite there, in both directions.
  const float* d_z = nullptr;
  /// Overwritten, all [tokens, heads, head_dim]: k and v gradients stay per query head (the part
  /// that came through that head); sum_head_groups gives the grouped ones. No gradient goes into
  /// the prefix.
  float* d_q = nullptr;
  float* d_k = nullptr;
  float* d_v = nullptr;
};

void attention_forward(const Context& context, const AttentionForward& params);
void attention_backward(const Context& context, const AttentionBackward& params);

/// grouped[tokens, kv_heads, head_dim] = sum over the query heads of each group of
/// per_head[tokens, heads, head_dim], in head order.
void sum_head_groups(const Context& context, const AttentionShape& shape, std::int64_t tokens,
                     const float* per_head, float* grouped);

}  // namespace headspark
