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
    check_argument(low->a.packed != nullptr && low->b.packed != nullptr, op,
                   "weight.low_rank was not made by make_low_rank");
    check_argument(low->rank >= 0 && low->a.count() == low->rank * weight->in() &&
                       low->b.count() == low->rank * weight->out(),
                   op, "weight.low_rank does not have the shape of the layer");
  }
}

}  // namespace

LinearRange check_linear_forward(const Context& context, const LinearForward& p, const char* op) {
  check_weight(p.weight, op);
  const LinearRange range = linear_range(*p.weight, p.slice, op);
  check_argument(p.tokens >= 0, op, "tokens is negative");
  if (p.tokens == 0 || range.out() == 0) return range;
  if (range.in() > 0) check_pointer(p.x, op, "x");
  check_pointer(p.y, op, "y");
  check_argument(p.x_stride >= range.in(), op, "x_stride is smaller than the inputs read");
  check_argument(p.y_stride >= range.out(), op, "y_stride is smaller than the outputs");
  check_row_type(context, p.type, op);
  check_argument(p.type == DType::f32 || (p.residual == nullptr && p.y_stride == range.out()), op,
                 "y is bf16 and has a residual or gaps between its rows");
  return range;
}

void linear_forward(const Context& context, const LinearForward& params) {
  linear_forward_all(context, std::span(&params, 1));
}

void linear_forward_all(const Context& context, std::span<const LinearForward> layers) {
  const char* op = "linear_forward";
  bool work = false;
  for (const LinearForward& layer : layers) {
    const LinearRange range = check_linear_forward(context, layer, op);
    const LinearForward& first = layers.front();
    const LinearRange read = linear_range(*first.weight, first.slice, op);
    check_argument(layer.x == first.x && layer.x_stride == first.x_stride &&
                       layer.tokens == first.tokens && range.in_begin == read.in_begin &&
                       range.in_end == read.in_end,
                   op, "the layers do not read the same rows");
    work = work || (layer.tokens > 0 && range.out() > 0);
  }
  if (!work) return;
  if (has_fast_kernels(context)) return linear_forward_fast(context, layers);
  for (const LinearForward& layer : layers) {
    if (linear_range(*layer.weight, layer.slice, op).out() == 0) continue;
    context.on_cpu() ? linear_forward_cpu(context, layer) : linear_forward_cuda(context, layer);
  }
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
