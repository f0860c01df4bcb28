// The GEMM set: the shapes of SmolLM2-135M and Qwen2.5-1.5B, from one row to a long prompt.
#include <algorithm>
#include <memory>
#include <utility>

#include "ops/benchmark.h"
#include "ops/linear_data.h"

namespace headspark::bench {
namespace {

constexpr std::int64_t kVerifiedTokens = 4;

// The first tokens of y again, from the operands on the host.
double forward_error(const Context& reference, const LinearData& data, std::int64_t tokens) {
  const std::int64_t few = std::min(kVerifiedTokens, tokens);
  std::vector<float> expected(static_cast<std::size_t>(few * data.shape.out));
  linear_forward(reference, whole_layer(data.weight, few, data.x.data(), expected.data()));
  return relative_error(data.y.to_host(), expected);
}

double backward_error(const Context& reference, const LinearData& data) {
  const std::int64_t few = std::min(kVerifiedTokens, data.shape.tokens);
  std::vector<float> expected(static_cast<std::size_t>(few * data.shape.in));
  linear_backward(reference,
                  whole_layer_gradient(data.weight, few, data.x.data(), expected.data()));
  return relative_error(data.y.to_host(), expected);
}

void add_linear(std::vector<Benchmark>& all, const Context& context, const LinearShape& s) {
  const auto data = on_first_use<LinearData>(context, s);
  const double bytes = static_cast<double>(s.out * s.in * dtype_bytes(s.dtype)) +
                       4.0 * static_cast<double>(s.tokens * (s.in + s.out));
  const std::string name = s.name() + (s.dtype == DType::bf16 ? " bf16" : " f32");
  all.push_back(
      {"linear_forward " + name, s.flops(), bytes,
       [=] { linear_forward(context, data->forward()); },
       [=](const Context& reference) { return forward_error(reference, *data, s.tokens); }});
  all.push_back({"linear_backward " + name, s.flops(), bytes,
                 [=] { linear_backward(context, data->backward()); },
                 [=](const Context& reference) { return backward_error(reference, *data); }});
}

// The linear layers of SmolLM2-135M, so that weights come from L3 or DRAM as in a decode step while
// the activations stay in L2.
class Layers {
 public:
  static constexpr std::int64_t kMostTokens = 128;
  static constexpr std::pair<int, int> kShapes[] = {
      {576, 576}, {192, 576}, {192, 576}, {576, 576}, {1536, 576}, {1536, 576}, {576, 1536}};
  static constexpr int kCount = 30;

  explicit Layers(const Context& context) {
    for (int i = 0; i < kCount; ++i) {
      for (const auto& [out, in] : kShapes) {
        layers_.push_back(std::make_unique<LinearData>(context, LinearShape{1, out, in}));
      }
    }
    layers_.push_back(std::make_unique<LinearData>(context, LinearShape{kMostTokens, 576, 1536}));
  }

  void run(const Context& context, std::int64_t tokens) {
    for (const auto& layer : layers_) {
      LinearForward params = layer->forward();
      params.tokens = tokens;
      params.x = last().x_there.data();
      params.y = last().y.data();
      linear_forward(context, params);
    }
  }
  LinearData& last() { return *layers_.back(); }

 private:
  std::vector<std::unique_ptr<LinearData>> layers_;
};

void add_layers(std::vector<Benchmark>& all, const Context& context) {
  const auto layers = on_first_use<Layers>(context);
  double weights = 0;
  for (const auto& [out, in] : Layers::kShapes) weights += Layers::kCount * out * in;
  weights += 576 * 1536;
  for (const std::int64_t tokens : {1, 16, 32, 64, 128}) {
    all.push_back({"linear_layers " + std::to_string(tokens) + " rows of smollm2-135m",
                   2.0 * static_cast<double>(tokens) * weights, 2.0 * weights,
                   [=] { layers->run(context, tokens); },
                   [=](const Context& reference) {
                     return forward_error(reference, layers->last(), tokens);
                   }});
  }
}

void add_cpu_shapes(std::vector<Benchmark>& all, const Context& context, bool quick) {
  for (const std::int64_t tokens : {1, 5, 31, 93, 512})
    add_linear(all, context, {tokens, 1536, 576});
  add_linear(all, context, {512, 576, 1536});
  // As many rows as 16 pairs of 31 tokens in 5 steps.
  add_linear(all, context, {2480, 1536, 576});
  add_linear(all, context, {2480, 576, 1536});
  add_linear(all, context, {512, 1536, 576, DType::f32});
  if (quick) return;
  add_layers(all, context);
  add_linear(all, context, {512, 8960, 1536});
  add_linear(all, context, {1, 8960, 1536});
}

// Qwen2.5-1.5B in a micro-batch of attribution, in decoding, and a square that fills the GPU.
void add_gpu_shapes(std::vector<Benchmark>& all, const Context& context, bool quick) {
  add_linear(all, context, {quick ? 17 : 256, quick ? 96 : 1536, quick ? 80 : 1536});
  if (quick) return;
  for (const std::int64_t tokens : {256, 8192, 40960}) {
    add_linear(all, context, {tokens, 8960, 1536});
    add_linear(all, context, {tokens, 1536, 8960});
  }
  add_linear(all, context, {8192, 1536, 1536});
  add_linear(all, context, {8192, 1536, 1536, DType::f32});
  add_linear(all, context, {8192, 8192, 8192});
}

}  // namespace

std::vector<Benchmark> linear_benchmarks(const Context& context, bool quick) {
  std::vector<Benchmark> all;
  (context.on_cpu() ? add_cpu_shapes : add_gpu_shapes)(all, context, quick);
  return all;
}

}  // namespace headspark::bench
