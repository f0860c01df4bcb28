// Linked in builds without CUDA: the symbol of head_input_cuda, a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void head_input_backward_cuda(const Context&, const HeadInputBackward&) {
  throw_no_cuda("head_input_backward");
}

}  // namespace headspark
