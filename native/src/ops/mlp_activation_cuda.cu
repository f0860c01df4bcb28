// The MLP nonlinearities on the GPU, one thread per element. Formulas: cuda/activation.h.
#include "cuda/activation.h"
#include "cuda/elements.h"
#include "cuda/op_device.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

template <typename Params>
HEADSPARK_DEVICE MlpInputs inputs(const Params& p, std::int64_t i) {
  return {p.gate[i], p.up != nullptr ? p.up[i] : 0.0f, p.up != nullptr};
}

template <bool Quick>
HEADSPARK_KERNEL(kElementThreads)
activation_forward_kernel(MlpActivationForward p) {
  const std::int64_t i = element_index();
  if (i < p.count) p.y[i] = activated<Quick>(p.activation, inputs(p, i));
}

template <bool Quick>
HEADSPARK_KERNEL(kElementThreads)
activation_backward_kernel(MlpActivationBackward p) {
  const std::int64_t i = element_index();
  if (i >= p.count) return;
  // d_y is read first: d_gate may be the same array.
  const ActivationGradient gradient =
      activation_gradient<Quick>(p.activation, inputs(p, i), p.d_y[i]);
  if (p.up != nullptr) p.d_up[i] = gradient.d_up;
  p.d_gate[i] = gradient.d_gate;
}

}  // namespace

void mlp_activation_forward_cuda(const Context& context, const MlpActivationForward& params) {
  launch(op_device(context).stream(), element_shape(params.count),
         context.precision == Precision::fast ? &activation_forward_kernel<true>
                                              : &activation_forward_kernel<false>,
         params);
}

void mlp_activation_backward_cuda(const Context& context, const MlpActivationBackward& params) {
  launch(op_device(context).stream(), element_shape(params.count),
         context.precision == Precision::fast ? &activation_backward_kernel<true>
                                              : &activation_backward_kernel<false>,
         params);
}

}  // namespace headspark
