// Linked in builds without CUDA: the symbols of logit_diff_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void logit_diff_forward_cuda(const Context&, const LogitDiffForward&) {
  throw_no_cuda("logit_diff_forward");
}

void logit_diff_backward_cuda(const Context&, const LogitDiffBackward&) {
  throw_no_cuda("logit_diff_backward");
}

}  // namespace headspark
