// The MLP nonlinearities and their gradients. Formulas: mlp_activation_cpu.cc, rewritten here so
// that nothing cancels in fp32: 1 + tanh(u) = 2 sigmoid(2u), and sigmoid and its complement both
// come from exp(-|x|). Results are rounded products: whether they are stored or split into terms at
// once, the bits are the same.
#pragma once

#include "cuda/cuda_language.h"
#include "headspark/ops/mlp_activation.h"

namespace headspark::cuda {

constexpr float kInverseSqrt2 = 0.70710678f;
constexpr float kSqrt2OverPi = 0.79788456f;     // sqrt(2 / pi)
constexpr float kInverseSqrt2Pi = 0.39894228f;  // 1 / sqrt(2 pi)
constexpr float kGeluCubic = 0.044715f;

struct ActivationValue {
  float f;
  float slope;
};

// x sigmoid(u), where du/dx = inner. Quick: for what becomes a bf16, whose last bit is far above
// what the processor's own functions are off.
template <bool Quick>
HEADSPARK_DEVICE ActivationValue times_sigmoid(float x, float u, float inner) {
  const float e = Quick ? quick_power_of_two(-kLog2OfE * absolute(u)) : exponential(-absolute(u));
  const float larger_half = Quick ? quick_reciprocal(1.0f + e) : 1.0f / (1.0f + e);
  const float smaller_half = e * larger_half;
  const float sigmoid = u < 0.0f ? smaller_half : larger_half;
  const float rest = u < 0.0f ? larger_half : smaller_half;
  // Far out one of the halves is 0 and x * inner may be infinite: there is no bend.
  const bool bends = sigmoid != 0.0f && rest != 0.0f;
  return {rounded_product(x, sigmoid),
          bends ? multiply_add(x * sigmoid * rest, inner, sigmoid) : sigmoid};
}

template <bool Quick>
HEADSPARK_DEVICE ActivationValue activate(Activation activation, float x) {
  switch (activation) {
    case Activation::silu:
      return times_sigmoid<Quick>(x, x, 1.0f);
    case Activation::gelu_tanh: {
      const float u = 2.0f * kSqrt2OverPi * multiply_add(kGeluCubic * x * x, x, x);
      return times_sigmoid<Quick>(
          x, u, 2.0f * kSqrt2OverPi * multiply_add(3.0f * kGeluCubic * x, x, 1.0f));
    }
    case Activation::gelu_erf: {
      const float cdf = 0.5f * complementary_error_function(-x * kInverseSqrt2);
      return {rounded_product(x, cdf),
              multiply_add(x * kInverseSqrt2Pi, exponential(-0.5f * x * x), cdf)};
    }
    default:
      return {x < 0.0f ? 0.0f : x, x > 0.0f ? 1.0f : 0.0f};
  }
}

/// What the nonlinearity is taken of and, in a gated MLP, the other factor.
struct MlpInputs {
  float gate;
  float up;
  bool gated;
};

/// y of MlpActivationForward; `Quick` in `fast`.
template <bool Quick>
HEADSPARK_DEVICE float activated(Activation activation, const MlpInputs& in) {
  const float f = activate<Quick>(activation, in.gate).f;
  return in.gated ? rounded_product(f, in.up) : f;
}

struct ActivationGradient {
  float d_gate;
  float d_up;
};

/// What MlpActivationBackward writes; `Quick` in `fast`.
template <bool Quick>
HEADSPARK_DEVICE ActivationGradient activation_gradient(Activation activation, const MlpInputs& in,
                                                        float d_y) {
  // forward: y = f(gate) up
  const ActivationValue value = activate<Quick>(activation, in.gate);
  const float d_f = rounded_product(d_y, value.slope);
  return {in.gated ? rounded_product(d_f, in.up) : d_f, rounded_product(d_y, value.f)};
}

}  // namespace headspark::cuda
