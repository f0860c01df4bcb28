// The MLP with its norm and residual, forward and backward, in the shapes of SmolLM2-135M and
// Qwen2.5-1.5B.
#include "headspark/ops/mlp.h"

#include <algorithm>
#include <memory>

#include "ops/benchmark.h"
#include "ops/linear_data.h"

namespace headspark::bench {
namespace {

struct MlpShape {
  std::int64_t tokens = 0;
  std::int64_t intermediate = 0;
  std::int64_t hidden = 0;
};

struct MlpData {
  MlpShape shape;
  LinearData gate, up, down;
  NormWeight norm;
  std::vector<float> x, y, kept_gate, kept_up, d_y, d_x, d_residual, normed, hidden, d_up;

  explicit MlpData(const MlpShape& s)
      : shape(s),
        gate({1, s.intermediate, s.hidden}),
        up({1, s.intermediate, s.hidden}),
        down({1, s.hidden, s.intermediate}) {
    norm.weight = noise(s.hidden);
    x = noise(s.tokens * s.hidden);
    d_y = noise(s.tokens * s.hidden);
    for (auto* array : {&y, &d_x, &d_residual, &normed}) array->resize(x.size());
    for (auto* array : {&kept_gate, &kept_up, &hidden, &d_up}) {
      array->resize(static_cast<std::size_t>(s.tokens * s.intermediate));
    }
  }

  MlpWeights weights() const {
    return {&norm, &gate.weight, &up.weight, &down.weight, Activation::silu};
  }
  MlpForward forward() {
    MlpForward p;
    p.weights = weights();
    p.tokens = shape.tokens;
    p.x = p.residual = x.data();
    p.y = y.data();
    p.gate = kept_gate.data();
    p.up = kept_up.data();
    p.normed = normed.data();
    p.hidden = hidden.data();
    return p;
  }
  MlpBackward backward() {
    MlpBackward p;
    p.weights = weights();
    p.tokens = shape.tokens;
    p.x = x.data();
    p.gate = kept_gate.data();
    p.up = kept_up.data();
    p.d_y = d_y.data();
    p.d_x = d_x.data();
    p.d_residual = d_residual.data();
    p.d_hidden = hidden.data();
    p.d_up = d_up.data();
    p.d_normed = normed.data();
    return p;
  }
};

void add_mlp(std::vector<Benchmark>& all, const MlpShape& s) {
  const auto data = std::make_shared<MlpData>(s);
  const auto bytes = [](std::int64_t count, std::int64_t each) {
    return static_cast<double>(count * each);
  };
  const double flops = 6.0 * bytes(s.tokens * s.hidden, s.intermediate);
  const double weights = bytes(s.hidden * s.intermediate, 3 * 2);
  const double kept = bytes(s.tokens * s.intermediate, 2 * 4);
  const double stream = bytes(s.tokens * s.hidden, 4);
  // The first tokens again by the specification, over what the run left in the same arrays.
  const auto error = [s](auto params, auto op, std::vector<float>* result) {
    params.tokens = 4;
    return [=](const Context& specification) {
      const std::vector<float> got = *result;
      op(specification, params);
      return relative_error(got, {result->begin(), result->begin() + params.tokens * s.hidden});
    };
  };
  const std::string name = std::to_string(s.tokens) + "x" + std::to_string(s.intermediate) + "x" +
                           std::to_string(s.hidden) + " bf16";
  all.push_back({"mlp_forward " + name, flops, weights + kept + 2 * stream,
                 [data](const Context& c) { mlp_forward(c, data->forward()); },
                 error(data->forward(), mlp_forward, &data->y)});
  all.push_back({"mlp_backward " + name, flops, weights + kept + 5 * stream,
                 [data](const Context& c) { mlp_backward(c, data->backward()); },
                 error(data->backward(), mlp_backward, &data->d_x)});
}

}  // namespace

std::vector<Benchmark> mlp_benchmarks(bool quick) {
  std::vector<Benchmark> all;
  add_mlp(all, {512, 1536, 576});
  if (!quick) add_mlp(all, {512, 8960, 1536});
  return all;
}

}  // namespace headspark::bench
