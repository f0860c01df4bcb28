// Attention of a decode step over pages (flash-decoding, Dao et al. 2023; cascades of shared
// prefixes, arXiv 2501.01005): splits of a context are computed side by side, for all query heads
// that read a key/value head and for all rows that read the same pages, then merged in order.
//
// What a step reads of a layer, in bytes: each row's pages once, kv_heads * head_stride elements a
// page; of pages that n rows share, ceil(n / q) times them instead of n, where q is how many rows'
// query heads fit into a tile of 64 (32 in exact for heads wider than 64). What the splits come to
// is written and read once, twice where a split begins with shared pages: 4 * rows * heads * splits
// * (head_dim + 8), which is 2.5 % of a row's pages of floats with six query heads a group, 128
// wide.
#pragma once

#include "cuda/op_device.h"
#include "headspark/ops/paged_attention.h"
#include "ops/paged_attention_memory.h"

namespace headspark::cuda {

/// Whether decode_attention_kernels is meant for a batch like this: most rows have one token, and
/// there is room for what their splits come to.
bool is_decode_step(const AttentionShape& shape, const RowLayout& layout);

/// Integers of a layer's plan, where paged_plan makes one: for a decode step of several rows.
std::int64_t attention_plan_size(const AttentionShape& shape, const RowLayout& layout);

/// What is held at most, for batches of up to these rows and tokens.
std::int64_t decode_attention_bytes(const PagedAttentionSize& size);

/// z of the rows with one token; the others are left to paged_forward_kernels, which gives the same
/// bits. `store` queues what stores the keys and values of this step; beside it runs what reads
/// older ones alone.
void decode_attention_kernels(OpDevice& device, Precision precision, const PagedAttention& params,
                              const std::function<void()>& store);

}  // namespace headspark::cuda
