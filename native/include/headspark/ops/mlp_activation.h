// The nonlinearity of the MLP: act(x), or gated act(gate) * up (SwiGLU, arXiv 2002.05202).
#pragma once

#include <cstdint>

#include "headspark/context.h"

namespace headspark {

enum class Activation { silu, gelu_tanh, gelu_erf, relu };

struct MlpActivationForward {
  Activation activation = Activation::silu;
  std::int64_t count = 0;       ///< tokens * width; arrays are contiguous
  const float* gate = nullptr;  ///< the input of the nonlinearity
  const float* up = nullptr;    ///< the other factor, or null when the MLP is not gated
  float* y = nullptr;
};

struct MlpActivationBackward {
  Activation activation = Activation::silu;
  std::int64_t count = 0;
  const float* gate = nullptr;
  const float* up = nullptr;
  const float* d_y = nullptr;
  float* d_gate = nullptr;  ///< overwritten; may be d_y
  float* d_up = nullptr;    ///< overwritten; null when not gated
};

void mlp_activation_forward(const Context& context, const MlpActivationForward& params);
void mlp_activation_backward(const Context& context, const MlpActivationBackward& params);

}  // namespace headspark
