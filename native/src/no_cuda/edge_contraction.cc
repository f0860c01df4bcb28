// Linked in builds without CUDA: the symbols of edge_contraction_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void edge_contraction_cuda(const Context&, std::span<const EdgeContraction>) {
  throw_no_cuda("edge_contraction");
}

void flow_proximity_cuda(const Context&, const FlowProximity&) {
  throw_no_cuda("flow_proximity");
}

}  // namespace headspark
