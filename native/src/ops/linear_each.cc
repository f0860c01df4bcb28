// Checks of linear_forward_each, its steps as ops, and the choice between them and the CPU's one
// loop.
#include "headspark/ops/linear_each.h"

#include "cpu/fast_ops.h"
#include "ops/check.h"
#include "ops/linear_range.h"
#include "ops/steps.h"

namespace headspark {
namespace {

void check_layer(const Context& context, const LinearEach& p, const LinearForward& layer) {
  const char* op = "linear_forward_each";
  check_linear_forward(context, layer, op);
  check_argument(layer.residual == nullptr, op, "a layer has a residual");
  if (p.norm == nullptr) return;
  const LinearRange range = linear_range(*layer.weight, layer.slice, op);
  const auto width = static_cast<std::int64_t>(p.norm->weight.size());
  check_argument(range.in_begin == 0 && range.in() == width, op,
                 "a layer does not read the width of the norm");
  if (layer.tokens > 0) check_pointer(p.normed, op, "normed");
}

}  // namespace

void linear_forward_each_in_steps(const Context& context, const LinearEach& p) {
  for (LinearForward layer : p.layers) {
    if (p.norm != nullptr) {
      const auto width = static_cast<std::int64_t>(p.norm->weight.size());
      norm_forward(context, {p.norm, layer.tokens, layer.x, layer.x_stride, p.normed, width});
      layer.x = p.normed;
      layer.x_stride = width;
    }
    linear_forward(context, layer);
  }
}

void linear_forward_each(const Context& context, const LinearEach& params) {
  for (const LinearForward& layer : params.layers) check_layer(context, params, layer);
  if (has_fast_kernels(context)) return linear_forward_each_fast(context, params);
  linear_forward_each_in_steps(context, params);
}

}  // namespace headspark
