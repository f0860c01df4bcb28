// The GEMM set: the shapes of SmolLM2-135M and Qwen2.5-1.5B, from one row to a long prompt.
#include <algorithm>
#include <memory>
#include <utility>

#include "ops/benchmark.h"
#include "ops/linear_data.h"

namespace headspark::bench {
namespace {

// The first tokens of y again by the specification.
template <typename Params, typename Op>
double linear_error(const Context& specification, const LinearData& data, Params params, Op op,
                    float* Params::*result, std::int64_t width) {
  params.tokens = std::min<std::int64_t>(4, params.tokens);
  std::vector<float> expected(static_cast<std::size_t>(params.tokens * width));
  params.*result = expected.data();
  op(specification, params);
  return relative_error(data.y, expected);
}

void add_linear(std::vector<Benchmark>& all, const LinearShape& s) {
  const auto data = std::make_shared<LinearData>(s);
  const double bytes = static_cast<double>(s.out * s.in * dtype_bytes(s.dtype)) +
                       4.0 * static_cast<double>(s.tokens * (s.in + s.out));
  const std::string name = s.name() + (s.dtype == DType::bf16 ? " bf16" : " f32");
  all.push_back({"linear_forward " + name, s.flops(), bytes,
                 [data](const Context& c) { linear_forward(c, data->forward()); },
                 [data, s](const Context& c) {
                   return linear_error(c, *data, data->forward(), linear_forward, &LinearForward::y,
                                       s.out);
                 }});
  all.push_back({"linear_backward " + name, s.flops(), bytes,
                 [data](const Context& c) { linear_backward(c, data->backward()); },
                 [data, s](const Context& c) {
                   return linear_error(c, *data, data->backward(), linear_backward,
                                       &LinearBackward::d_x, s.in);
                 }});
}

// The linear layers of SmolLM2-135M, so that weights come from L3 or DRAM as in a decode step while
// the activations stay in L2. Made on first use.
class Layers {
 public:
  static constexpr std::int64_t kMostTokens = 128;
  static constexpr std::pair<int, int> kShapes[] = {
      {576, 576}, {192, 576}, {192, 576}, {576, 576}, {1536, 576}, {1536, 576}, {576, 1536}};
  static constexpr int kCount = 30;

  void run(const Context& context, std::int64_t tokens) {
    if (layers_.empty()) make();
    for (const auto& layer : layers_) {
      LinearForward params = layer->forward();
      params.tokens = tokens;
      params.x = last().x.data();
      params.y = last().y.data();
      linear_forward(context, params);
    }
  }
  LinearData& last() { return *layers_.back(); }

 private:
  void make() {
    for (int i = 0; i < kCount; ++i) {
      for (const auto& [out, in] : kShapes) {
        layers_.push_back(std::make_unique<LinearData>(LinearShape{1, out, in}));
      }
    }
    layers_.push_back(std::make_unique<LinearData>(LinearShape{kMostTokens, 576, 1536}));
  }

  std::vector<std::unique_ptr<LinearData>> layers_;
};

void add_layers(std::vector<Benchmark>& all) {
  const auto layers = std::make_shared<Layers>();
  double weights = 0;
  for (const auto& [out, in] : Layers::kShapes) weights += Layers::kCount * out * in;
  weights += 576 * 1536;
  for (const std::int64_t tokens : {1, 16, 32, 64, 128}) {
    all.push_back({"linear_layers " + std::to_string(tokens) + " rows of smollm2-135m",
                   2.0 * static_cast<double>(tokens) * weights, 2.0 * weights,
                   [layers, tokens](const Context& c) { layers->run(c, tokens); },
                   [layers, tokens](const Context& c) {
                     LinearForward last = layers->last().forward();
                     last.tokens = tokens;
                     return linear_error(c, layers->last(), last, linear_forward, &LinearForward::y,
                                         576);
                   }});
  }
}

}  // namespace

std::vector<Benchmark> linear_benchmarks(bool quick) {
  std::vector<Benchmark> all;
  for (const std::int64_t tokens : {1, 5, 31, 93, 512}) add_linear(all, {tokens, 1536, 576});
  add_linear(all, {512, 576, 1536});
  // As many rows as 16 pairs of 31 tokens in 5 steps.
  add_linear(all, {2480, 1536, 576});
  add_linear(all, {2480, 576, 1536});
  add_linear(all, {512, 1536, 576, DType::f32});
  if (quick) return all;
  add_layers(all);
  add_linear(all, {512, 8960, 1536});
  add_linear(all, {1, 8960, 1536});
  return all;
}

}  // namespace headspark::bench
