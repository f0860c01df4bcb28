// The MLP nonlinearities; formulas as in src/ops/mlp_activation_cpu.cc. tanh is not needed:
// 0.5 (1 + tanh u) = sigmoid(2 u), which keeps relative accuracy in both tails.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/kernels/math.h"

namespace headspark {

template <typename S>
struct ValueAndSlope {
  typename S::F value;
  typename S::F slope;
};

template <typename S>
struct Silu {
  using F = typename S::F;
  static F value(F x) { return S::mul(x, sigmoid<S>(x).value); }
  static ValueAndSlope<S> both(F x) {
    const Sigmoid<S> s = sigmoid<S>(x);
    return {S::mul(x, s.value), S::mul(s.value, S::fma(x, s.rest, S::set(1.0f)))};
  }
};

template <typename S>
struct GeluTanh {
  using F = typename S::F;
  static constexpr float two_sqrt_2_over_pi = 1.59576912f;
  static constexpr float cubic = 0.044715f;

  // 2 sqrt(2 / pi) (x + 0.044715 x³)
  static F inner(F x) {
    const F square = S::mul(x, x);
    return S::mul(S::mul(S::set(two_sqrt_2_over_pi), x),
                  S::fma(square, S::set(cubic), S::set(1.0f)));
  }
  static F value(F x) { return S::mul(x, sigmoid<S>(inner(x)).value); }
  static ValueAndSlope<S> both(F x) {
    const Sigmoid<S> s = sigmoid<S>(inner(x));
    const F square = S::min(S::set(1e30f), S::mul(x, x));  // keeps 0 * infinity away
    const F inner_slope =
        S::mul(S::set(two_sqrt_2_over_pi), S::fma(square, S::set(3.0f * cubic), S::set(1.0f)));
    const F bump = S::mul(x, S::mul(s.value, s.rest));
    return {S::mul(x, s.value), S::fma(bump, inner_slope, s.value)};
  }
};

template <typename S>
struct GeluErf {
  using F = typename S::F;
  static F value(F x) { return S::mul(x, normal_cdf<S>(x)); }
  static ValueAndSlope<S> both(F x) {
    const F cdf = normal_cdf<S>(x);
    const F half_square = S::mul(S::set(-0.5f), S::mul(x, x));
    const F density = S::mul(S::set(0.39894228f), exp<S>(half_square));
    return {S::mul(x, cdf), S::fma(x, density, cdf)};
  }
};

template <typename S>
struct Relu {
  using F = typename S::F;
  static F value(F x) { return S::max(S::set(0.0f), x); }  // NaN comes through
  static ValueAndSlope<S> both(F x) {
    const F zero = S::set(0.0f);
    return {value(x), S::select(S::less(zero, x), S::set(1.0f), zero)};
  }
};

template <typename S, template <typename> typename Function>
struct ActivationKernel {
  using F = typename S::F;

  static void forward(const ActivationRange& p) {
    for_lanes<S>(p.count, [&](std::int64_t i, std::int64_t lanes) {
      F y = Function<S>::value(load_lanes<S>(p.gate + i, lanes));
      if (p.up != nullptr) y = S::mul(y, load_lanes<S>(p.up + i, lanes));
      store_lanes<S>(p.out + i, lanes, y);
    });
  }

  static void backward(const ActivationRange& p) {
    for_lanes<S>(p.count, [&](std::int64_t i, std::int64_t lanes) {
      const ValueAndSlope<S> f = Function<S>::both(load_lanes<S>(p.gate + i, lanes));
      const F d_y = load_lanes<S>(p.d_y + i, lanes);
      F d_gate = S::mul(d_y, f.slope);
      if (p.up != nullptr) {
        d_gate = S::mul(d_gate, load_lanes<S>(p.up + i, lanes));
        store_lanes<S>(p.d_up + i, lanes, S::mul(d_y, f.value));
      }
      store_lanes<S>(p.out + i, lanes, d_gate);
    });
  }

  static constexpr ActivationKernels kernels() { return {forward, backward}; }
};

}  // namespace headspark
