// The MLP with its norm and residual, forward and backward, in the shape of SmolLM2-135M.
#include "headspark/ops/mlp.h"

#include <algorithm>
#include <memory>

#include "ops/benchmark.h"
#include "ops/linear_data.h"

namespace headspark::bench {
namespace {

constexpr std::int64_t kHidden = 576;
constexpr std::int64_t kIntermediate = 1536;

struct MlpData {
  std::int64_t tokens;
  LinearData gate, up, down;
  NormWeight norm;
  std::vector<float> x, y, kept_gate, kept_up, d_y, d_x, d_residual, normed, hidden, d_up;

  explicit MlpData(std::int64_t count)
      : tokens(count),
        gate({1, kIntermediate, kHidden}),
        up({1, kIntermediate, kHidden}),
        down({1, kHidden, kIntermediate}) {
    norm.weight = noise(kHidden);
    x = noise(tokens * kHidden);
    d_y = noise(tokens * kHidden);
    for (auto* array : {&y, &d_x, &d_residual, &normed}) array->resize(x.size());
    for (auto* array : {&kept_gate, &kept_up, &hidden, &d_up}) {
      array->resize(static_cast<std::size_t>(tokens * kIntermediate));
    }
  }

  MlpWeights weights() const {
    return {&norm, &gate.weight, &up.weight, &down.weight, Activation::silu};
  }
  MlpForward forward() {
    MlpForward p;
    p.weights = weights();
    p.tokens = tokens;
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
    p.tokens = tokens;
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

}  // namespace

std::vector<Benchmark> mlp_benchmarks() {
  const std::int64_t tokens = 512;
  const auto data = std::make_shared<MlpData>(tokens);
  const double flops = 6.0 * static_cast<double>(tokens * kHidden * kIntermediate);
  const double weights = 6.0 * static_cast<double>(kHidden * kIntermediate);
  const double kept = 8.0 * static_cast<double>(tokens * kIntermediate);
  const double stream = 4.0 * static_cast<double>(tokens * kHidden);
  // The first tokens again by the specification, over what the run left in the same arrays.
  const auto error = [data](auto params, auto op, std::vector<float>* result) {
    params.tokens = 4;
    return [=](const Context& specification) mutable {
      const std::vector<float> fresh = *result;
      op(specification, params);
      const std::vector<float> expected(result->begin(), result->begin() + 4 * kHidden);
      return relative_error(fresh, expected);
    };
  };
  const std::string name = std::to_string(tokens) + "x1536x576 bf16";
  return {{"mlp_forward " + name, flops, weights + kept + 2 * stream,
           [data](const Context& c) { mlp_forward(c, data->forward()); },
           error(data->forward(), mlp_forward, &data->y)},
          {"mlp_backward " + name, flops, weights + kept + 5 * stream,
           [data](const Context& c) { mlp_backward(c, data->backward()); },
           error(data->backward(), mlp_backward, &data->d_x)}};
}

}  // namespace headspark::bench
