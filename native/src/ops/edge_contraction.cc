// Checks of edge_contraction and flow_proximity and the choice of their backend.
#include "headspark/ops/edge_contraction.h"

#include <vector>

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"
#include "ops/contraction_rectangles.h"

namespace headspark {
namespace {

/// Whether there is anything to do.
bool check_contraction(const Context& context, const EdgeContraction& params) {
  const char* op = "edge_contraction";
  check_argument(params.sources >= 0 && params.destinations >= 0 && params.length >= 0, op,
                 "sources, destinations or length is negative");
  if (params.sources == 0 || params.destinations == 0 || params.length == 0) {
    return false;
  }
  check_pointer(params.delta, op, "delta");
  check_pointer(params.gradient, op, "gradient");
  check_pointer(params.scores, op, "scores");
  check_row_type(context, params.type, op);
  check_argument(params.type == DType::f32 ||
                     (params.delta_stride % 8 == 0 && params.gradient_stride % 8 == 0),
                 op, "delta_stride or gradient_stride is no multiple of 8, as bf16 needs");
  check_argument(params.delta_stride >= params.length && params.gradient_stride >= params.length,
                 op, "delta_stride or gradient_stride is smaller than length");
  check_argument(params.scores_stride >= params.destinations, op,
                 "scores_stride is smaller than destinations");
  if (params.ends != nullptr) {
    check_argument(std::is_sorted(params.ends, params.ends + params.destinations) &&
                       params.ends[0] >= 0 &&
                       params.ends[params.destinations - 1] <= params.sources,
                   op, "ends do not ascend from 0 to sources");
  }
  return true;
}

}  // namespace

DType contracted_type(const Context& context, std::int64_t width) {
  const bool rounds = !context.on_cpu() && context.precision == Precision::fast;
  return rounds && width % 8 == 0 ? DType::bf16 : DType::f32;
}

void edge_contraction(const Context& context, std::span<const EdgeContraction> contractions) {
  std::vector<EdgeContraction> some;
  for (const EdgeContraction& params : contractions) {
    if (check_contraction(context, params)) some.push_back(params);
  }
  if (!context.on_cpu()) return edge_contraction_cuda(context, some);
  if (has_fast_kernels(context)) return edge_contraction_fast(context, some);
  for (const EdgeContraction& params : some) {
    for_rectangles(params, [&](const EdgeContraction& rectangle) {
      edge_contraction_cpu(context, rectangle);
    });
  }
}

void flow_proximity(const Context& context, const FlowProximity& params) {
  const char* op = "flow_proximity";
  check_argument(params.sources >= 0 && params.tokens >= 0 && params.width >= 0, op,
                 "sources, tokens or width is negative");
  check_argument(params.begin != nullptr || params.pairs == 1, op,
                 "begin is null with more than one pair");
  if (params.sources == 0 || params.tokens == 0 || params.width == 0) return;
  check_pointer(params.input, op, "input");
  check_pointer(params.write, op, "write");
  check_pointer(params.scores, op, "scores");
  check_argument(params.write_stride >= params.tokens * params.width, op,
                 "write_stride is smaller than tokens * width");
  if (!context.on_cpu()) return flow_proximity_cuda(context, params);
  if (context.isa != Isa::specification) return flow_proximity_fast(context, params);
  flow_proximity_cpu(context, params);
}

}  // namespace headspark
