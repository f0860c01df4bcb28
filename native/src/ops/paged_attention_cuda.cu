// Attention over pages on the GPU: rows of many tokens by the kernels of plain attention, rows of
// one by those of decode attention. Both walk over 32 keys, one page, at a time, and both cut the
// context after every 256, so that prefill and decode give the same bits (plain attention has no
// cuts, so no such bits). Formulas: paged_attention_cpu.cc.
#include "cuda/attention_forward.h"
#include "cuda/decode_attention.h"
#include "cuda/decode_plan.h"
#include "cuda/stored_value.h"
#include "ops/backends.h"
#include "ops/paged_attention_memory.h"

namespace headspark {
namespace {

using namespace cuda;

constexpr int kPagedThreads = 128;

// A block per (row, own token); keys are written 32 elements apart, as pages want them.
HEADSPARK_KERNEL(kPagedThreads) store_kernel(PagedStore p) {
  const std::int64_t row = block_x() / p.rows.layout.longest_row;
  const std::int64_t token = block_x() % p.rows.layout.longest_row;
  const std::int64_t begin = p.rows.layout.row_begin[row];
  if (token >= p.rows.layout.row_begin[row + 1] - begin) return;
  const KvPageLayout layout{p.shape.kv_heads, p.shape.head_dim, p.rows.type};
  const std::int64_t position = p.rows.layout.prefix(static_cast<std::int32_t>(row)) + token;
  float* page = p.rows.pages[p.rows.page_begin[row] + position / kKvPageTokens];
  const std::int64_t slot = position % kKvPageTokens;
  const std::int64_t width = p.shape.kv_heads * p.shape.head_dim;
  for (std::int64_t i = thread_index(); i < width; i += kPagedThreads) {
    const std::int64_t head = i / p.shape.head_dim * layout.head_stride();
    const std::int64_t d = i % p.shape.head_dim;
    store_value(page, layout.type, head + d * kKvPageTokens + slot,
                p.k[(begin + token) * width + i]);
    store_value(page, layout.type, head + layout.value_offset() + slot * layout.padded_dim() + d,
                p.v[(begin + token) * width + i]);
  }
}

}  // namespace

void paged_store_cuda(const Context& context, const PagedStore& p) {
  if (p.rows.layout.longest_row <= 0) return;
  const std::int64_t tokens =
      static_cast<std::int64_t>(p.rows.layout.rows) * p.rows.layout.longest_row;
  launch(op_device(context).stream(), {{blocks_for(tokens, 1)}, kPagedThreads}, &store_kernel, p);
}

std::int64_t paged_attention_bytes_cuda(const PagedAttentionSize& size) {
  return decode_attention_bytes(size);
}

std::int64_t paged_plan_size_cuda(const AttentionShape& shape, const RowLayout& layout) {
  return attention_plan_size(shape, layout);
}

void paged_plan_cuda(const Context& context, const PagedPlan& p) {
  plan_decode(op_device(context), {p.rows, p.layers, p.layer_step, p.plan});
}

void paged_attention_cuda(const Context& context, const PagedAttention& p) {
  OpDevice& device = op_device(context);
  const bool decodes = is_decode_step(p.shape, p.rows.layout);
  const auto store = [&] {
    if (p.k != nullptr) paged_store_cuda(context, {p.shape, p.rows, p.k, p.v});
  };
  if (!decodes) store();
  if (decodes) decode_attention_kernels(device, context.precision, p, store);
  if (decodes && p.rows.layout.longest_row <= 1) return;
  ForwardAttention forward;
  forward.shape = p.shape;
  forward.layout = p.rows.layout;
  forward.layout.prefix_begin = nullptr;  // pages hold the prefix
  forward.q = p.q;
  forward.page_begin = p.rows.page_begin;
  forward.pages = p.rows.pages;
  forward.gate = p.gate;
  forward.z = p.z;
  forward.four = reads_four(p.shape.head_dim, p.q);
  forward.shortest = decodes ? 2 : 0;
  paged_forward_kernels(device, context.precision, forward);
}

}  // namespace headspark
