// The MLP nonlinearities on every level: gated and plain, extreme inputs, gradients.
#include "headspark/ops/mlp_activation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

constexpr Activation kActivations[] = {Activation::silu, Activation::gelu_tanh,
                                       Activation::gelu_erf, Activation::relu};

std::vector<float> inputs(std::int64_t count, float range) {
  Random random(8);
  std::vector<float> x = random.values(count, -range, range);
  const float special[] = {0.0f, -0.0f, 1e-20f, -1e-6f, 30.0f, -30.0f, 120.0f, -120.0f};
  for (std::size_t i = 0; i < x.size() && i < std::size(special); ++i) x[i] = special[i];
  return x;
}

struct Arrays {
  std::vector<float> gate, up, d_y;
};

void run_both(Activation activation, const Arrays& a, const Context& context, Outputs& outputs) {
  const auto count = static_cast<std::int64_t>(a.gate.size());
  const bool gated = !a.up.empty();
  const float* up = gated ? a.up.data() : nullptr;
  const GuardedArray gate("gate", a.gate);
  mlp_activation_forward(context, {activation, count, gate.data(), up, outputs.dense("y", count)});
  MlpActivationBackward p{activation,
                          count,
                          gate.data(),
                          up,
                          a.d_y.data(),
                          outputs.dense("d_gate", count),
                          gated ? outputs.dense("d_up", count) : nullptr};
  mlp_activation_backward(context, p);
  p.d_gate = outputs.initial("in place", a.d_y);
  p.d_y = p.d_gate;
  mlp_activation_backward(context, p);
}

std::vector<float> forward(const Context& context, Activation activation, const Arrays& a) {
  std::vector<float> y(a.gate.size());
  mlp_activation_forward(context, {activation, static_cast<std::int64_t>(y.size()), a.gate.data(),
                                   a.up.data(), y.data()});
  return y;
}

}  // namespace

TEST_CASE("mlp_activation agrees with the specification") {
  for (const Activation activation : kActivations) {
    for (const std::int64_t count : {1, 5, 16, 1031, 5000}) {
      Random random(4);
      Arrays a{inputs(count, 9.0f), random.values(count), random.values(count)};
      const auto run = [&](const Context& context, Outputs& outputs) {
        run_both(activation, a, context, outputs);
      };
      check_case({"gated mlp_activation", 1e-6, run});
      a.up.clear();
      check_case({"mlp_activation", 1e-6, run});
    }
  }
}

// The whole range: each value against its own size, not against the largest of the array.
TEST_CASE("mlp_activation is accurate to a few units in the last place of its input") {
  const Context specification = make_cpu_context(1, Isa::specification);
  for (const Activation activation : kActivations) {
    Arrays a;
    for (float x = -20.0f; x <= 20.0f; x += 0.0037f) a.gate.push_back(x);
    a.up.assign(a.gate.size(), 1.0f);
    const std::vector<float> expected = forward(specification, activation, a);
    for (const Level& level : levels()) {
      const std::vector<float> y = forward(level.context(1), activation, a);
      double worst = 0.0;
      for (std::size_t i = 0; i < y.size(); ++i) {
        const double diff = std::fabs(static_cast<double>(y[i]) - expected[i]);
        const double relative = diff / std::max(std::fabs(a.gate[i]), 1e-3f);
        if (!(relative <= worst)) worst = relative;
      }
      CHECK_MESSAGE(!(worst > 4e-7), level.name, " activation ", static_cast<int>(activation),
                    " is off by ", worst);
    }
  }
}

TEST_CASE("infinite and NaN inputs come through as the specification says") {
  Arrays a;
  a.gate = {INFINITY, NAN, 3.0f, 3.0e38f};
  a.up.assign(4, 1.0f);
  for (const Activation activation : kActivations) {
    for (const Level& level : levels()) {
      const std::vector<float> y = forward(level.context(1), activation, a);
      CHECK(y[0] == INFINITY);
      CHECK(std::isnan(y[1]));
      CHECK(y[3] == doctest::Approx(3.0e38f));
    }
  }
}

TEST_CASE("mlp_activation gradients equal finite differences") {
  Random random(7);
  for (const Activation activation : kActivations) {
    Arrays a{random.values(19, -3.0f, 3.0f), random.values(19), random.values(19)};
    for (float& x : a.gate) x = std::fabs(x) < 0.1f ? 0.4f : x;  // away from the kink of relu
    const Context specification = make_cpu_context(1, Isa::specification);
    for (const Level& level : levels()) {
      Outputs outputs;
      run_both(activation, a, level.context(1), outputs);
      check_gradient(
          {.name = "gate",
           .x = a.gate,
           .gradient = outputs["d_gate"].values(),
           .loss = [&](const std::vector<float>& x) {
             return weighted_sum(a.d_y, forward(specification, activation, {x, a.up, {}}).data());
           }});
      check_gradient(
          {.name = "up",
           .x = a.up,
           .gradient = outputs["d_up"].values(),
           .loss = [&](const std::vector<float>& x) {
             return weighted_sum(a.d_y, forward(specification, activation, {a.gate, x, {}}).data());
           }});
    }
  }
}

TEST_CASE("mlp_activation does not depend on where an element stands") {
  for (const Activation activation : kActivations) {
    const Arrays a{inputs(77, 9.0f), Random(2).values(77), {}};
    const Arrays tail{{a.gate.begin() + 60, a.gate.end()}, {a.up.begin() + 60, a.up.end()}, {}};
    for (const Level& level : levels()) {
      const Context context = level.context(1);
      const std::vector<float> y = forward(context, activation, a);
      check_same_bits("tail", forward(context, activation, tail),
                      std::vector<float>(y.begin() + 60, y.end()));
    }
  }
}

TEST_CASE("mlp_activation refuses bad arguments by name") {
  const Context context = make_cpu_context(1, Isa::specification);
  float x[1] = {};
  CHECK_THROWS_WITH_AS(mlp_activation_forward(context, {Activation::silu, 1, nullptr, x, x}),
                       doctest::Contains("gate is null"), Error);
  CHECK_THROWS_WITH_AS(mlp_activation_backward(context, {Activation::silu, 1, x, x, x, x, nullptr}),
                       doctest::Contains("d_up"), Error);
}

}  // namespace headspark::test
