// Checks of edge_sum and the choice of its backend.
#include "headspark/ops/edge_sum.h"

#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {

void edge_sum(const Context& context, const EdgeSum& params) {
  const char* op = "edge_sum";
  check_argument(params.sources >= 0 && params.destinations >= 0 && params.length >= 0, op,
                 "sources, destinations or length is negative");
  if (params.destinations == 0 || params.length == 0) return;
  check_pointer(params.base, op, "base");
  check_pointer(params.y, op, "y");
  if (params.sources > 0) {
    check_pointer(params.mask, op, "mask");
    check_pointer(params.difference, op, "difference");
  }
  if (!context.on_cpu()) return edge_sum_cuda(context, params);
  edge_sum_cpu(context, params);
}

}  // namespace headspark
