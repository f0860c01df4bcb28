// Checks of attention and the choice of its backend.
#include "headspark/ops/attention.h"

#include "cpu/fast_ops.h"
#include "ops/attention_check.h"
#include "ops/backends.h"

namespace headspark {
namespace {

void check_prefix(const Context& context, const RowLayout& layout, const float* prefix_k,
                  const float* prefix_v, const char* op) {
  if (layout.prefix_length == nullptr || (prefix_k != nullptr && prefix_v != nullptr)) return;
  if (!context.on_cpu()) return;
  for (std::int32_t row = 0; row < layout.rows; ++row) {
    check_argument(layout.prefix(row) == 0, op,
                   "a row has a prefix but prefix_k or prefix_v is null");
  }
}

}  // namespace

void attention_forward(const Context& context, const AttentionForward& params) {
  const char* op = "attention_forward";
  check_attention_shape(params.shape, op);
  check_attention_layout(context, params.layout, op);
  if (params.layout.token_count == 0) return;
  check_pointer(params.q, op, "q");
  check_pointer(params.k, op, "k");
  check_pointer(params.v, op, "v");
  check_pointer(params.z, op, "z");
  check_prefix(context, params.layout, params.prefix_k, params.prefix_v, op);
  check_gate(params.gate, op);
  if (!context.on_cpu()) return attention_forward_cuda(context, params);
  if (context.isa != Isa::specification) return attention_forward_fast(context, params);
  attention_forward_cpu(context, params);
}

void attention_backward(const Context& context, const AttentionBackward& params) {
  const char* op = "attention_backward";
  check_attention_shape(params.shape, op);
  check_attention_layout(context, params.layout, op);
  if (params.layout.token_count == 0) return;
  check_pointer(params.q, op, "q");
  check_pointer(params.k, op, "k");
  check_pointer(params.v, op, "v");
  check_pointer(params.raw, op, "raw");
  check_pointer(params.lse, op, "lse");
  check_pointer(params.d_z, op, "d_z");
  check_pointer(params.d_q, op, "d_q");
  check_pointer(params.d_k, op, "d_k");
  check_pointer(params.d_v, op, "d_v");
  check_prefix(context, params.layout, params.prefix_k, params.prefix_v, op);
  if (!context.on_cpu()) return attention_backward_cuda(context, params);
  if (context.isa != Isa::specification) return attention_backward_fast(context, params);
  attention_backward_cpu(context, params);
}

void sum_head_groups(const Context& context, const AttentionShape& shape, std::int64_t tokens,
                     const float* per_head, float* grouped) {
  const char* op = "sum_head_groups";
  check_attention_shape(shape, op);
  check_argument(tokens >= 0, op, "tokens is negative");
  if (tokens == 0) return;
  check_pointer(per_head, op, "per_head");
  check_pointer(grouped, op, "grouped");
  if (!context.on_cpu()) return sum_head_groups_cuda(context, shape, tokens, per_head, grouped);
  sum_head_groups_cpu(context, shape, tokens, per_head, grouped);
}

}  // namespace headspark
