// What attention over pages takes of a device beside its operands, for those who plan memory.
#pragma once

#include <cstdint>

#include "headspark/context.h"
#include "headspark/ops/attention.h"

namespace headspark {

/// Batches of up to `rows` rows whose contexts have up to `context` tokens, and the plans of
/// `planned_layers` layers.
struct PagedAttentionSize {
  AttentionShape shape;
  std::int64_t rows = 0;
  std::int64_t context = 0;
  std::int64_t planned_layers = 0;
};

/// Bytes of scratch memory and plans at most; 0 on the CPU.
std::int64_t paged_attention_bytes(const Context& context, const PagedAttentionSize& size);
std::int64_t paged_attention_bytes_cuda(const PagedAttentionSize& size);

}  // namespace headspark
