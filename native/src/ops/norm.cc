// Checks of norm and the choice of its backend.
#include "headspark/ops/norm.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/norm_check.h"

namespace headspark {
namespace {

std::int64_t checked_width(const NormWeight* norm, std::int64_t rows, const char* op) {
  check_argument(rows >= 0, op, "rows is negative");
  return check_norm(norm, op);
}

}  // namespace

void norm_forward(const Context& context, const NormForward& params) {
  const char* op = "norm_forward";
  const std::int64_t width = checked_width(params.norm, params.rows, op);
  if (params.rows == 0) return;
  check_pointer(params.x, op, "x");
  check_pointer(params.y, op, "y");
  check_argument(params.x_stride >= width && params.y_stride >= width, op,
                 "x_stride or y_stride is smaller than the width");
  if (!context.on_cpu()) return norm_forward_cuda(context, params);
  if (context.isa != Isa::specification) return norm_forward_fast(context, params);
  norm_forward_cpu(context, params);
}

void norm_backward(const Context& context, const NormBackward& params) {
  const char* op = "norm_backward";
  const std::int64_t width = checked_width(params.norm, params.rows, op);
  if (params.rows == 0 || params.mode == GradientMode::ignore) return;
  check_pointer(params.x, op, "x");
  check_pointer(params.d_y, op, "d_y");
  check_pointer(params.d_x, op, "d_x");
  check_argument(
      params.x_stride >= width && params.d_y_stride >= width && params.d_x_stride >= width, op,
      "x_stride, d_y_stride or d_x_stride is smaller than the width");
  if (!context.on_cpu()) return norm_backward_cuda(context, params);
  if (context.isa != Isa::specification) return norm_backward_fast(context, params);
  norm_backward_cpu(context, params);
}

void norm_scale(const Context& context, const NormScale& params) {
  const char* op = "norm_scale";
  checked_width(params.norm, params.rows, op);
  check_argument(params.norm->kind != NormKind::layer, op, "norm takes a mean away");
  check_argument(params.parts_width >= 0, op, "parts_width is negative");
  if (params.rows == 0) return;
  check_pointer(params.x, op, "x");
  check_pointer(params.z, op, "z");
  check_pointer(params.y, op, "y");
  if (!context.on_cpu()) return norm_scale_cuda(context, params);
  if (context.isa != Isa::specification) return norm_scale_fast(context, params);
  norm_scale_cpu(context, params);
}

}  // namespace headspark
