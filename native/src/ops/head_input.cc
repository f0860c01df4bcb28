// Checks of head_input_backward and the choice of its backend.
#include "headspark/ops/head_input.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {
namespace {

void check_projection(const HeadInputBackward& p, const HeadInputBackward::Projection& projection) {
  const char* op = "head_input_backward";
  check_pointer(projection.weight, op, "weight");
  check_argument(projection.heads > 0, op, "heads is not positive");
  check_argument(projection.share > 0 && projection.heads % projection.share == 0, op,
                 "heads is no multiple of share");
  check_argument(projection.heads / projection.share * p.head_dim == projection.weight->out(), op,
                 "the heads do not cover the projection's outputs");
  check_argument(p.in() == projection.weight->in(), op,
                 "the norm is not as wide as the projection's input");
  check_argument(p.type == DType::f32 || projection.y_stride % 2 == 0, op,
                 "y is bf16 and y_stride is odd");
  if (p.tokens == 0) return;
  check_pointer(projection.y, op, "y");
  if (p.copies == 0) return;
  check_pointer(projection.projected, op, "projected");
  check_pointer(projection.d, op, "d");
}

}  // namespace

void head_input_backward(const Context& context, const HeadInputBackward& p) {
  const char* op = "head_input_backward";
  check_pointer(p.norm, op, "norm");
  check_argument(p.copies >= 0 && p.tokens >= 0, op, "copies or tokens is negative");
  check_row_type(context, p.type, op);
  for (const HeadInputBackward::Projection& projection : p.projections) {
    check_projection(p, projection);
  }
  if (p.tokens == 0) return;
  if (p.copies > 0) check_pointer(p.x, op, "x");
  if (!context.on_cpu()) return head_input_backward_cuda(context, p);
  if (context.isa != Isa::specification) return head_input_backward_fast(context, p);
  head_input_backward_cpu(context, p);
}

}  // namespace headspark
