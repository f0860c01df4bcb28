// Linked in builds without CUDA: the symbols of linear_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void linear_forward_cuda(const Context&, const LinearForward&) {
  throw_no_cuda("linear_forward");
}

void linear_backward_cuda(const Context&, const LinearBackward&) {
  throw_no_cuda("linear_backward");
}

}  // namespace headspark
