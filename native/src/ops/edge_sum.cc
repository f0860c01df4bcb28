// Checks of edge_sum and the choice of its backend.
#include "headspark/ops/edge_sum.h"

#include <vector>

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {
namespace {

/// Whether there is anything to do.
bool check_sum(const EdgeSum& params) {
  const char* op = "edge_sum";
  check_argument(params.sources >= 0 && params.destinations >= 0 && params.length >= 0, op,
                 "sources, destinations or length is negative");
  check_argument(params.index == nullptr || (params.width > 0 && params.length % params.width == 0),
                 op, "length is not a multiple of width");
  if (params.destinations == 0 || params.length == 0) return false;
  check_pointer(params.y, op, "y");
  if (params.sources > 0) {
    check_pointer(params.mask, op, "mask");
    check_pointer(params.difference, op, "difference");
  }
  return true;
}

}  // namespace

void edge_sum(const Context& context, std::span<const EdgeSum> sums) {
  std::vector<EdgeSum> some;
  for (const EdgeSum& params : sums) {
    if (check_sum(params)) some.push_back(params);
  }
  if (has_fast_kernels(context)) return edge_sum_fast(context, some);
  if (!context.on_cpu()) return edge_sum_cuda(context, some);
  for (const EdgeSum& params : some) edge_sum_cpu(context, params);
}

}  // namespace headspark
