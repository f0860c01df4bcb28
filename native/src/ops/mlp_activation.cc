// Checks of mlp_activation and the choice of its backend.
#include "headspark/ops/mlp_activation.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {

void mlp_activation_forward(const Context& context, const MlpActivationForward& params) {
  const char* op = "mlp_activation_forward";
  check_argument(params.count >= 0, op, "count is negative");
  if (params.count == 0) return;
  check_pointer(params.gate, op, "gate");
  check_pointer(params.y, op, "y");
  if (!context.on_cpu()) return mlp_activation_forward_cuda(context, params);
  if (context.isa != Isa::specification) return mlp_activation_forward_fast(context, params);
  mlp_activation_forward_cpu(context, params);
}

void mlp_activation_backward(const Context& context, const MlpActivationBackward& params) {
  const char* op = "mlp_activation_backward";
  check_argument(params.count >= 0, op, "count is negative");
  if (params.count == 0) return;
  check_pointer(params.gate, op, "gate");
  check_pointer(params.d_y, op, "d_y");
  check_pointer(params.d_gate, op, "d_gate");
  check_argument((params.up == nullptr) == (params.d_up == nullptr), op,
                 "up and d_up must both be given or both be null");
  check_argument(params.d_up == nullptr || params.d_up != params.d_y, op,
                 "d_up may not be d_y; only d_gate may");
  if (!context.on_cpu()) return mlp_activation_backward_cuda(context, params);
  if (context.isa != Isa::specification) return mlp_activation_backward_fast(context, params);
  mlp_activation_backward_cpu(context, params);
}

}  // namespace headspark
