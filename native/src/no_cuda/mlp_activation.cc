// Linked in builds without CUDA: the symbols of mlp_activation_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void mlp_activation_forward_cuda(const Context&, const MlpActivationForward&) {
  throw_no_cuda("mlp_activation_forward");
}

void mlp_activation_backward_cuda(const Context&, const MlpActivationBackward&) {
  throw_no_cuda("mlp_activation_backward");
}

}  // namespace headspark
