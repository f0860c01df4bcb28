// Causal attention on the GPU: formulas in attention_cpu.cc, kernels in cuda/attention_forward.cu
// and cuda/attention_backward.cu.
#include "cuda/attention_backward.h"
#include "cuda/attention_forward.h"
#include "cuda/elements.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

struct SumGroups {
  std::int64_t group;
  std::int64_t head_dim;
  std::int64_t count;  // tokens * kv_heads * head_dim
  const float* per_head;
  float* grouped;
};

HEADSPARK_KERNEL(kElementThreads) sum_groups_kernel(SumGroups p) {
  const std::int64_t i = element_index();
  if (i >= p.count) return;
  const float* x = p.per_head + i / p.head_dim * p.group * p.head_dim + i % p.head_dim;
  float sum = x[0];
  for (std::int64_t h = 1; h < p.group; ++h) sum += x[h * p.head_dim];
  p.grouped[i] = sum;
}

}  // namespace

void attention_forward_cuda(const Context& context, const AttentionForward& p) {
  ForwardAttention forward;
  forward.shape = p.shape;
  forward.layout = p.layout;
  forward.q = p.q;
  forward.store = {p.k, p.v, p.prefix_k, p.prefix_v};
  forward.gate = p.gate;
  forward.z = p.z;
  forward.raw = p.raw;
  forward.lse = p.lse;
  forward.four = reads_four(p.shape.head_dim, p.q, p.k, p.v, p.prefix_k, p.prefix_v);
  attention_forward_kernels(op_device(context), context.precision, forward);
}

void attention_backward_cuda(const Context& context, const AttentionBackward& p) {
  attention_backward_kernels(op_device(context), context.precision, p);
}

void sum_head_groups_cuda(const Context& context, const AttentionShape& shape, std::int64_t tokens,
                          const float* per_head, float* grouped) {
  const std::int64_t count = tokens * shape.kv_heads * shape.head_dim;
  launch(op_device(context).stream(), element_shape(count), &sum_groups_kernel,
         SumGroups{shape.heads / shape.kv_heads, shape.head_dim, count, per_head, grouped});
}

}  // namespace headspark
