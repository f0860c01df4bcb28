// The attention probabilities of chosen heads, written out: what drawings and head properties read.
// The forward pass itself never keeps them (headspark/ops/attention.h).
#pragma once

#include <cstdint>

#include "headspark/ops/attention.h"

namespace headspark {

struct AttentionPattern {
  AttentionShape shape;
  RowLayout layout;
  const float* q = nullptr;             ///< [tokens, heads, head_dim], after norm and rotation
  const float* k = nullptr;             ///< [tokens, kv_heads, head_dim]
  const float* prefix_k = nullptr;      ///< [store tokens, kv_heads, head_dim]; may be null
  const std::int32_t* heads = nullptr;  ///< [count] query heads, ascending
  std::int64_t count = 0;
  /// [rows] where the maps of each row begin in `pattern`.
  const std::int64_t* pattern_begin = nullptr;
  /// Per row [count, own tokens, prefix + own tokens]: the probability with which an own token
  /// reads each token of its context; 0 for those that it does not see. Every element is written.
  float* pattern = nullptr;
};

void attention_pattern(const Context& context, const AttentionPattern& params);

}  // namespace headspark
