// Linked in builds without CUDA: the symbols of mlp_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void mlp_forward_cuda(const Context&, const MlpForward&) {
  throw_no_cuda("mlp_forward");
}

void mlp_backward_cuda(const Context&, const MlpBackward&) {
  throw_no_cuda("mlp_backward");
}

}  // namespace headspark
