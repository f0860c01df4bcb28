// Specification of the MLP nonlinearities, with f' beside f. Gated: y = f(gate) up (SwiGLU, arXiv
// 2002.05202), d_gate = d_y up f'(gate), d_up = d_y f(gate). GELU and its tanh form: arXiv
// 1606.08415. In double.
#include <cmath>

#include "ops/backends.h"

namespace headspark {
namespace {

constexpr double kInverseSqrt2 = 0.70710678118654752440;
constexpr double kSqrt2OverPi = 0.79788456080286535588;     // sqrt(2 / pi)
constexpr double kInverseSqrt2Pi = 0.39894228040143267794;  // 1 / sqrt(2 pi)
constexpr double kGeluCubic = 0.044715;

struct Value {
  double f = 0.0;
  double slope = 0.0;
};

Value silu(double x) {
  const double sigmoid = 1.0 / (1.0 + std::exp(-x));
  return {x * sigmoid, sigmoid * (1.0 + x * (1.0 - sigmoid))};
}

Value gelu_tanh(double x) {
  const double t = std::tanh(kSqrt2OverPi * (x + kGeluCubic * x * x * x));
  const double inner_slope = kSqrt2OverPi * (1.0 + 3.0 * kGeluCubic * x * x);
  return {0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner_slope};
}

Value gelu_erf(double x) {
  const double cdf = 0.5 * (1.0 + std::erf(x * kInverseSqrt2));
  return {x * cdf, cdf + x * kInverseSqrt2Pi * std::exp(-0.5 * x * x)};
}

// max(x, 0) that lets NaN through; the slope at 0 is 0, as in PyTorch.
Value relu(double x) {
  return {x < 0.0 ? 0.0 : x, x > 0.0 ? 1.0 : 0.0};
}

Value activate(Activation activation, double x) {
  switch (activation) {
    case Activation::silu:
      return silu(x);
    case Activation::gelu_tanh:
      return gelu_tanh(x);
    case Activation::gelu_erf:
      return gelu_erf(x);
    default:
      return relu(x);
  }
}

}  // namespace

void mlp_activation_forward_cpu(const Context& context, const MlpActivationForward& p) {
  context.threads->parallel_for(p.count, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const double f = activate(p.activation, p.gate[i]).f;
      p.y[i] = static_cast<float>(p.up != nullptr ? f * p.up[i] : f);
    }
  });
}

void mlp_activation_backward_cpu(const Context& context, const MlpActivationBackward& p) {
  context.threads->parallel_for(p.count, 1024, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      // forward: y = f(gate) up. d_y is read first: d_gate may be the same array.
      const Value value = activate(p.activation, p.gate[i]);
      const double d_y = p.d_y[i];
      if (p.up != nullptr) p.d_up[i] = static_cast<float>(d_y * value.f);
      p.d_gate[i] = static_cast<float>(d_y * value.slope * (p.up != nullptr ? p.up[i] : 1.0));
    }
  });
}

}  // namespace headspark
