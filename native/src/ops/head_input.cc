// Checks of head_input_backward and the choice of its backend.
#include "headspark/ops/head_input.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {

void head_input_backward(const Context& context, const HeadInputBackward& p) {
  const char* op = "head_input_backward";
  check_pointer(p.norm, op, "norm");
  check_pointer(p.weight, op, "weight");
  check_argument(p.copies >= 0 && p.tokens >= 0 && p.heads >= 0, op,
                 "copies, tokens or heads is negative");
  check_argument(p.share > 0 && p.heads % p.share == 0, op, "heads is no multiple of share");
  check_argument(p.heads / p.share * p.head_dim == p.weight->out(), op,
                 "the heads do not cover the projection's outputs");
  check_argument(static_cast<std::int64_t>(p.norm->weight.size()) == p.weight->in(), op,
                 "the norm is not as wide as the projection's input");
  if (p.tokens == 0 || p.heads == 0) return;
  check_pointer(p.y, op, "y");
  if (p.copies > 0) {
    check_pointer(p.x, op, "x");
    check_pointer(p.projected, op, "projected");
    check_pointer(p.d, op, "d");
  }
  if (!context.on_cpu()) return head_input_backward_cuda(context, p);
  if (context.isa != Isa::specification) return head_input_backward_fast(context, p);
  head_input_backward_cpu(context, p);
}

}  // namespace headspark
