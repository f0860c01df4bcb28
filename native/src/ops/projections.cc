// Checks of projections, its steps as ops, and the choice between them and the CPU's blocks of
// rows.
#include "headspark/ops/projections.h"

#include <vector>

#include "cpu/fast_ops.h"
#include "ops/norm_check.h"
#include "ops/steps.h"

namespace headspark {
namespace {

void check_weight(const LinearWeight* weight, std::int64_t width, const char* op) {
  check_pointer(weight, op, "weight");
  check_argument(weight->in() == width, op, "a weight does not read the width of the norm");
}

void check_forward(const ProjectionsForward& p) {
  const char* op = "projections_forward";
  check_argument(p.tokens >= 0, op, "tokens is negative");
  const std::int64_t width = check_norm(p.norm, op);
  check_pointer(p.x, op, "x");
  check_pointer(p.normed, op, "normed");
  for (const auto& output : p.outputs) {
    check_weight(output.weight, width, op);
    check_pointer(output.y, op, "y");
  }
}

void check_backward(const ProjectionsBackward& p) {
  const char* op = "projections_backward";
  check_argument(p.tokens >= 0, op, "tokens is negative");
  const std::int64_t width = check_norm(p.norm, op);
  check_pointer(p.x, op, "x");
  check_pointer(p.d_x, op, "d_x");
  check_pointer(p.d_normed, op, "d_normed");
  for (const auto& input : p.inputs) {
    check_weight(input.weight, width, op);
    check_pointer(input.d_y, op, "d_y");
  }
}

void backward_in_steps(const Context& context, const ProjectionsBackward& p) {
  const auto width = static_cast<std::int64_t>(p.norm->weight.size());
  GradientMode mode = GradientMode::overwrite;
  for (const auto& input : p.inputs) {
    LinearBackward linear = whole_layer_gradient(*input.weight, p.tokens, input.d_y, p.d_normed);
    linear.mode = mode;
    linear_backward(context, linear);
    mode = GradientMode::accumulate;
  }
  norm_backward(context, {.norm = p.norm,
                          .rows = p.tokens,
                          .x = p.x,
                          .x_stride = width,
                          .d_y = p.d_normed,
                          .d_y_stride = width,
                          .d_x = p.d_x,
                          .d_x_stride = width,
                          .mode = GradientMode::accumulate});
}

}  // namespace

void projections_forward_in_steps(const Context& context, const ProjectionsForward& p) {
  norm_forward(context, whole_rows(*p.norm, p.tokens, p.x, p.normed));
  std::vector<LinearForward> layers;
  for (const auto& output : p.outputs) {
    layers.push_back(whole_layer(*output.weight, p.tokens, p.normed, output.y));
  }
  linear_forward_all(context, layers);
}

void projections_forward(const Context& context, const ProjectionsForward& params) {
  check_forward(params);
  if (params.tokens == 0 || params.outputs.empty()) return;
  if (!context.on_cpu()) return projections_forward_cuda(context, params);
  if (has_fast_kernels(context) && projections_forward_in_blocks(context, params)) return;
  projections_forward_in_steps(context, params);
}

void projections_backward(const Context& context, const ProjectionsBackward& params) {
  check_backward(params);
  if (params.tokens == 0 || params.inputs.empty()) return;
  if (has_fast_kernels(context) && projections_backward_in_blocks(context, params)) return;
  backward_in_steps(context, params);
}

}  // namespace headspark
