// Checks of linear and the choice of its backend.
#include "headspark/ops/linear.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"
#include "ops/linear_range.h"

namespace headspark {
namespace {

void check_weight(const LinearWeight* weight, const char* op) {
  check_pointer(weight, op, "weight");
  check_argument(!weight->empty(), op, "weight is empty");
  check_argument(weight->packed != nullptr, op, "weight was not made by make_linear_weight");
  check_argument(
      weight->bias.empty() || static_cast<std::int64_t>(weight->bias.size()) == weight->out(), op,
      "weight.bias does not have one value per output");
  if (const LowRank* low = weight->low_rank.get()) {
    check_argument(low->rank >= 0 &&
                       static_cast<std::int64_t>(low->a.size()) == low->rank * weight->in() &&
                       static_cast<std::int64_t>(low->b.size()) == low->rank * weight->out(),
                   op, "weight.low_rank does not have the shape of the layer");
    check_argument(low->packed_a != nullptr && low->packed_b != nullptr, op,
                   "weight.low_rank was not made by make_low_rank");
  }
}

}  // namespace

void linear_forward(const Context& context, const LinearForward& params) {
  const char* op = "linear_forward";
  check_weight(params.weight, op);
  const LinearRange range = linear_range(*params.weight, params.slice, op);
  check_argument(params.tokens >= 0, op, "tokens is negative");
  if (params.tokens == 0 || range.out() == 0) return;
  if (range.in() > 0) check_pointer(params.x, op, "x");
  check_pointer(params.y, op, "y");
  check_argument(params.x_stride >= range.in(), op, "x_stride is smaller than the inputs read");
  check_argument(params.y_stride >= range.out(), op, "y_stride is smaller than the outputs");
  if (!context.on_cpu()) return linear_forward_cuda(context, params);
  if (context.isa != Isa::specification) return linear_forward_fast(context, params);
  linear_forward_cpu(context, params);
}

void linear_backward(const Context& context, const LinearBackward& params) {
  const char* op = "linear_backward";
  check_weight(params.weight, op);
  const LinearRange range = linear_range(*params.weight, params.slice, op);
  check_argument(params.tokens >= 0, op, "tokens is negative");
  if (params.tokens == 0 || range.in() == 0 || params.mode == GradientMode::ignore) return;
  if (range.out() > 0) check_pointer(params.d_y, op, "d_y");
  check_pointer(params.d_x, op, "d_x");
  check_argument(params.d_y_stride >= range.out(), op, "d_y_stride is smaller than the outputs");
  check_argument(params.d_x_stride >= range.in(), op, "d_x_stride is smaller than the inputs");
  if (!context.on_cpu()) return linear_backward_cuda(context, params);
  if (context.isa != Isa::specification) return linear_backward_fast(context, params);
  linear_backward_cpu(context, params);
}

}  // namespace headspark
