// Ops that move memory and hardly compute: their GB/s is what counts.
#include <memory>

#include "common/measure.h"
#include "common/on_device.h"
#include "headspark/ops/mlp_activation.h"
#include "headspark/ops/norm.h"
#include "ops/benchmark.h"

namespace headspark::bench {
namespace {

struct ElementwiseData {
  std::vector<float> x, up;
  Buffer<float> x_there, up_there, y;
  NormWeight norm;

  ElementwiseData(const Context& context, std::int64_t tokens, std::int64_t width)
      : x(noise(tokens * width)),
        up(noise(tokens * width)),
        x_there(to_device(context, x)),
        up_there(to_device(context, up)),
        y(floats(context, tokens * width)) {
    norm.weight = noise(width);
  }
};

}  // namespace

std::vector<Benchmark> elementwise_benchmarks(const Context& context, bool quick) {
  const std::int64_t tokens = context.on_cpu() ? 512 : quick ? 16 : 40960;
  const std::int64_t width = 1536;
  const std::int64_t count = tokens * width;
  const auto data = on_first_use<ElementwiseData>(context, tokens, width);
  const auto norm = [=](const Context& c, const float* x, const float*, float* y) {
    norm_forward(c, {&data->norm, tokens, x, width, y, width});
  };
  const auto silu = [=](const Context& c, const float* x, const float* up, float* y) {
    mlp_activation_forward(c, {Activation::silu, count, x, up, y});
  };
  const auto benchmark = [&](const std::string& name, double arrays, const auto& op) -> Benchmark {
    return {name + std::to_string(tokens) + "x" + std::to_string(width), 0,
            arrays * 4.0 * static_cast<double>(count),
            [=] { op(context, data->x_there.data(), data->up_there.data(), data->y.data()); },
            [=](const Context& reference) {
              std::vector<float> expected(data->x.size());
              op(reference, data->x.data(), data->up.data(), expected.data());
              return relative_error(data->y.to_host(), expected);
            }};
  };
  return {benchmark("norm_forward ", 2, norm), benchmark("mlp_activation silu ", 3, silu)};
}

}  // namespace headspark::bench
