// Linked in builds without CUDA: the symbols of metric_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void metric_forward_cuda(const Context&, const MetricForward&) {
  throw_no_cuda("metric_forward");
}

void metric_backward_cuda(const Context&, const MetricBackward&) {
  throw_no_cuda("metric_backward");
}

}  // namespace headspark
