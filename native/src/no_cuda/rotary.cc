// Linked in builds without CUDA: the symbols of rotary_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void rotary_forward_cuda(const Context&, const Rotary&) {
  throw_no_cuda("rotary_forward");
}

void rotary_backward_cuda(const Context&, const Rotary&) {
  throw_no_cuda("rotary_backward");
}

}  // namespace headspark
