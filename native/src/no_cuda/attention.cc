// Linked in builds without CUDA: the symbols of attention_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void attention_forward_cuda(const Context&, const AttentionForward&) {
  throw_no_cuda("attention_forward");
}

void attention_backward_cuda(const Context&, const AttentionBackward&) {
  throw_no_cuda("attention_backward");
}

void sum_head_groups_cuda(const Context&, const AttentionShape&, std::int64_t, const float*,
                          float*) {
  throw_no_cuda("sum_head_groups");
}

}  // namespace headspark
