// Linked in builds without CUDA: the symbols of norm_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void norm_forward_cuda(const Context&, const NormForward&) {
  throw_no_cuda("norm_forward");
}

void norm_backward_cuda(const Context&, const NormBackward&) {
  throw_no_cuda("norm_backward");
}

void norm_scale_cuda(const Context&, const NormScale&) {
  throw_no_cuda("norm_scale");
}

}  // namespace headspark
