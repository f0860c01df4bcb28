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

/// The weights, which need no device of their own.
struct MlpLayer {
  LinearData gate, up, down;
  NormWeight norm;

  MlpLayer(const Context& context, const MlpShape& s)
      : gate(context, {1, s.intermediate, s.hidden}),
        up(context, {1, s.intermediate, s.hidden}),
        down(context, {1, s.hidden, s.intermediate}) {
    norm.weight = noise(s.hidden);
  }
  MlpWeights weights() const {
    return {&norm, &gate.weight, &up.weight, &down.weight, Activation::silu};
  }
};

/// Operands on the device of a context.
struct MlpData {
  std::int64_t tokens;
  Buffer<float> x, d_y, y, d_x, d_residual, normed, kept_gate, kept_up, hidden, d_up;

  MlpData(const Context& context, const MlpShape& s, const std::vector<float>& host_x,
          const std::vector<float>& host_d_y)
      : tokens(s.tokens), x(to_device(context, host_x)), d_y(to_device(context, host_d_y)) {
    for (auto* array : {&y, &d_x, &d_residual, &normed}) *array = floats(context, x.size());
    for (auto* array : {&kept_gate, &kept_up, &hidden, &d_up}) {
      *array = floats(context, s.tokens * s.intermediate);
    }
    d_residual.zero();
  }

  void run_forward(const Context& context, const MlpWeights& weights) {
    MlpForward p;
    p.weights = weights;
    p.tokens = tokens;
    p.x = p.residual = x.data();
    p.y = y.data();
    p.gate = kept_gate.data();
    p.up = kept_up.data();
    p.normed = normed.data();
    p.hidden = hidden.data();
    mlp_forward(context, p);
  }
  void run_backward(const Context& context, const MlpWeights& weights) {
    MlpBackward p;
    p.weights = weights;
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
    mlp_backward(context, p);
  }
};

struct Mlp {
  MlpShape shape;
  MlpLayer layer;
  std::vector<float> x, d_y;
  MlpData data;

  Mlp(const Context& context, const MlpShape& s)
      : shape(s),
        layer(context, s),
        x(noise(s.tokens * s.hidden)),
        d_y(noise(s.tokens * s.hidden)),
        data(context, s, x, d_y) {
    // For the backward, in case that benchmark alone is selected.
    data.run_forward(context, layer.weights());
  }
  /// The first tokens again.
  double error(const Context& reference, Buffer<float> MlpData::*member) const {
    const MlpShape few{std::min<std::int64_t>(4, shape.tokens), shape.intermediate, shape.hidden};
    const auto first = [&](const std::vector<float>& all) {
      return std::vector<float>(all.begin(), all.begin() + few.tokens * few.hidden);
    };
    MlpData expected(reference, few, first(x), first(d_y));
    expected.run_forward(reference, layer.weights());
    expected.run_backward(reference, layer.weights());
    return relative_error((data.*member).to_host(), (expected.*member).to_host());
  }
};

void add_mlp(std::vector<Benchmark>& all, const Context& context, const MlpShape& s) {
  const auto mlp = on_first_use<Mlp>(context, s);
  const auto bytes = [](std::int64_t count, std::int64_t each) {
    return static_cast<double>(count * each);
  };
  const double flops = 6.0 * bytes(s.tokens * s.hidden, s.intermediate);
  const double weights = bytes(s.hidden * s.intermediate, 3 * 2);
  const bool narrow = mlp_keeps_bf16(context, mlp->layer.weights());
  const double kept = bytes(s.tokens * s.intermediate, 2 * (narrow ? 2 : 4));
  const double stream = bytes(s.tokens * s.hidden, 4);
  const std::string name = std::to_string(s.tokens) + "x" + std::to_string(s.intermediate) + "x" +
                           std::to_string(s.hidden) + " bf16";
  all.push_back({"mlp_forward " + name, flops, weights + kept + 2 * stream,
                 [=] { mlp->data.run_forward(context, mlp->layer.weights()); },
                 [=](const Context& reference) { return mlp->error(reference, &MlpData::y); }});
  all.push_back({"mlp_backward " + name, flops, weights + kept + 5 * stream,
                 [=] { mlp->data.run_backward(context, mlp->layer.weights()); },
                 [=](const Context& reference) { return mlp->error(reference, &MlpData::d_x); }});
}

}  // namespace

std::vector<Benchmark> mlp_benchmarks(const Context& context, bool quick) {
  std::vector<Benchmark> all;
  if (context.on_cpu()) {
    add_mlp(all, context, {512, 1536, 576});
    if (!quick) add_mlp(all, context, {512, 8960, 1536});
  } else {
    add_mlp(all, context, quick ? MlpShape{9, 96, 64} : MlpShape{8192, 8960, 1536});
  }
  return all;
}

}  // namespace headspark::bench
