// Linked in builds without CUDA: the symbol of edge_sum_cuda, a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void edge_sum_cuda(const Context&, std::span<const EdgeSum>) {
  throw_no_cuda("edge_sum");
}

}  // namespace headspark
