// Where one token's key and value of a head go in its page.
#pragma once

#include <algorithm>
#include <cstdint>

#include "headspark/ops/paged_attention.h"

namespace headspark {

/// `head` is the head's part of the page, `slot` the token's place in it; k, v: [head_dim].
inline void store_token(const KvPageLayout& layout, std::int64_t slot, const float* k,
                        const float* v, float* head) {
  const std::int64_t value = layout.value_offset() + slot * layout.padded_dim();
  if (layout.type == DType::f32) {
    for (std::int64_t d = 0; d < layout.head_dim; ++d) head[d * kKvPageTokens + slot] = k[d];
    std::copy_n(v, layout.head_dim, head + value);
    return;
  }
  auto* const rounded = reinterpret_cast<std::uint16_t*>(head);
  for (std::int64_t d = 0; d < layout.head_dim; ++d) {
    rounded[d * kKvPageTokens + slot] = f32_to_bf16(k[d]);
    rounded[value + d] = f32_to_bf16(v[d]);
  }
}

}  // namespace headspark
