// Checks of mlp, its steps as ops, and the choice between them and the CPU's blocks of rows.
#include "headspark/ops/mlp.h"

#include "cpu/fast_ops.h"
#include "headspark/ops/rows.h"
#include "ops/check.h"
#include "ops/steps.h"

namespace headspark {
namespace {

void check_weights(const MlpWeights& weights, const char* op) {
  check_pointer(weights.up, op, "weights.up");
  check_pointer(weights.down, op, "weights.down");
  const LinearWeight& up = *weights.up;
  const LinearWeight& down = *weights.down;
  check_argument(down.in() == up.out() && down.out() == up.in(), op,
                 "weights.down does not lead back from the width of weights.up");
  check_argument(
      weights.gate == nullptr || (weights.gate->in() == up.in() && weights.gate->out() == up.out()),
      op, "weights.gate does not have the shape of weights.up");
  check_argument(
      weights.norm == nullptr || static_cast<std::int64_t>(weights.norm->weight.size()) == up.in(),
      op, "weights.norm does not have the width that weights.up reads");
}

void check_forward(const MlpForward& p) {
  const char* op = "mlp_forward";
  check_argument(p.tokens >= 0, op, "tokens is negative");
  check_weights(p.weights, op);
  check_pointer(p.x, op, "x");
  check_argument(p.residual != nullptr || p.out == nullptr, op,
                 "out is what y holds without a residual; leave it null");
  check_pointer(p.y, op, "y");
  check_pointer(p.gate, op, "gate");
  check_pointer(p.hidden, op, "hidden");
  check_argument((p.weights.gate == nullptr) == (p.up == nullptr), op,
                 "up must be given with a gated MLP, and only then");
  check_argument(p.weights.norm == nullptr || p.normed != nullptr, op,
                 "normed is null; a norm needs it");
}

void check_backward(const MlpBackward& p) {
  const char* op = "mlp_backward";
  check_argument(p.tokens >= 0, op, "tokens is negative");
  check_weights(p.weights, op);
  check_pointer(p.weights.norm, op, "weights.norm");
  check_pointer(p.x, op, "x");
  check_pointer(p.gate, op, "gate");
  check_pointer(p.d_y, op, "d_y");
  check_pointer(p.d_x, op, "d_x");
  check_pointer(p.d_residual, op, "d_residual");
  check_pointer(p.d_hidden, op, "d_hidden");
  check_pointer(p.d_normed, op, "d_normed");
  const bool gated = p.weights.gate != nullptr;
  check_argument(gated == (p.up != nullptr) && gated == (p.d_up != nullptr), op,
                 "up and d_up must be given with a gated MLP, and only then");
  check_argument(p.d_x != p.d_y && p.d_x != p.d_residual, op,
                 "d_x may be neither d_y nor d_residual");
}

}  // namespace

bool mlp_keeps_bf16(const Context& context, const MlpWeights& weights) {
  if (context.on_cpu() || context.precision != Precision::fast) return false;
  for (const LinearWeight* layer : {weights.gate, weights.up, weights.down}) {
    if (layer != nullptr && low_rank_of(*layer) != nullptr) return false;
  }
  return true;
}

void mlp_forward_in_steps(const Context& context, const MlpForward& p) {
  const MlpWeights& weights = p.weights;
  const std::int64_t hidden = weights.up->in();
  const bool gated = weights.gate != nullptr;
  const float* normed = p.x;
  if (weights.norm != nullptr) {
    norm_forward(context, whole_rows(*weights.norm, p.tokens, p.x, p.normed));
    normed = p.normed;
  }
  const LinearForward up = whole_layer(*weights.up, p.tokens, normed, gated ? p.up : p.gate);
  if (gated) {
    const LinearForward layers[] = {up, whole_layer(*weights.gate, p.tokens, normed, p.gate)};
    linear_forward_all(context, layers);
  } else {
    linear_forward(context, up);
  }
  mlp_activation_forward(context, {.activation = weights.activation,
                                   .count = p.tokens * weights.up->out(),
                                   .gate = p.gate,
                                   .up = p.up,
                                   .y = p.hidden});
  LinearForward down =
      whole_layer(*weights.down, p.tokens, p.hidden, p.out != nullptr ? p.out : p.y);
  if (p.out == nullptr) down.residual = p.residual;
  linear_forward(context, down);
  if (p.out == nullptr) return;
  combine(context, {.count = p.tokens * hidden,
                    .a = 1.0f,
                    .x = p.out,
                    .b = 1.0f,
                    .y = p.y,
                    .base = p.residual == p.y ? nullptr : p.residual});
}

// The gradients of gate and up are summed as wholes: blocks of rows do it so.
void mlp_backward_in_steps(const Context& context, const MlpBackward& p) {
  const MlpWeights& weights = p.weights;
  const std::int64_t hidden = weights.up->in();
  const bool gated = weights.gate != nullptr;
  linear_backward(context, whole_layer_gradient(*weights.down, p.tokens, p.d_y, p.d_hidden));
  mlp_activation_backward(context, {.activation = weights.activation,
                                    .count = p.tokens * weights.up->out(),
                                    .gate = p.gate,
                                    .up = p.up,
                                    .d_y = p.d_hidden,
                                    .d_gate = p.d_hidden,
                                    .d_up = p.d_up});
  linear_backward(context, whole_layer_gradient(gated ? *weights.gate : *weights.up, p.tokens,
                                                p.d_hidden, p.d_normed));
  if (gated) {
    linear_backward(context, whole_layer_gradient(*weights.up, p.tokens, p.d_up, p.d_x));
    combine(context,
            {.count = p.tokens * hidden, .a = 1.0f, .x = p.d_x, .b = 1.0f, .y = p.d_normed});
  }
  norm_backward(context, {.norm = weights.norm,
                          .rows = p.tokens,
                          .x = p.x,
                          .x_stride = hidden,
                          .d_y = p.d_normed,
                          .d_y_stride = hidden,
                          .d_x = p.d_x,
                          .d_x_stride = hidden,
                          .mode = GradientMode::overwrite});
  combine(context,
          {.count = p.tokens * hidden, .a = 1.0f, .x = p.d_x, .b = 1.0f, .y = p.d_residual});
}

void mlp_forward(const Context& context, const MlpForward& params) {
  check_forward(params);
  if (params.tokens == 0) return;
  if (!context.on_cpu()) return mlp_forward_cuda(context, params);
  if (has_fast_kernels(context) && mlp_forward_in_blocks(context, params)) return;
  mlp_forward_in_steps(context, params);
}

void mlp_backward(const Context& context, const MlpBackward& params) {
  check_backward(params);
  if (params.tokens == 0) return;
  if (!context.on_cpu()) return mlp_backward_cuda(context, params);
  if (has_fast_kernels(context) && mlp_backward_in_blocks(context, params)) return;
  mlp_backward_in_steps(context, params);
}

}  // namespace headspark
