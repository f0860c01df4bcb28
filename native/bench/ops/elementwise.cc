// Ops that move memory and hardly compute: their GB/s is what counts.
#include <memory>

#include "common/measure.h"
#include "headspark/ops/mlp_activation.h"
#include "headspark/ops/norm.h"
#include "ops/benchmark.h"

namespace headspark::bench {
namespace {

struct ElementwiseData {
  std::vector<float> x, up, y;
  NormWeight norm;
};

}  // namespace

std::vector<Benchmark> elementwise_benchmarks() {
  const std::int64_t tokens = 512;
  const std::int64_t width = 1536;
  const std::int64_t count = tokens * width;
  const auto data = std::make_shared<ElementwiseData>(
      ElementwiseData{noise(count), noise(count), noise(count), {}});
  data->norm.weight = noise(width);
  const auto norm = [=](const Context& c) {
    norm_forward(c, {&data->norm, tokens, data->x.data(), width, data->y.data(), width});
  };
  const auto silu = [=](const Context& c) {
    mlp_activation_forward(
        c, {Activation::silu, count, data->x.data(), data->up.data(), data->y.data()});
  };
  const auto error = [=](const auto& run) {
    return [=](const Context& c) {
      const std::vector<float> got = data->y;
      run(c);
      return relative_error(got, data->y);
    };
  };
  const double bytes = 4.0 * static_cast<double>(count);
  const std::string name = std::to_string(tokens) + "x" + std::to_string(width);
  return {{"norm_forward " + name, 0, 2 * bytes, norm, error(norm)},
          {"mlp_activation silu " + name, 0, 3 * bytes, silu, error(silu)}};
}

}  // namespace headspark::bench
