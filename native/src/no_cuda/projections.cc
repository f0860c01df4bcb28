// Linked in builds without CUDA: the symbols of projections_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void projections_forward_cuda(const Context&, const ProjectionsForward&) {
  throw_no_cuda("projections_forward");
}

}  // namespace headspark
