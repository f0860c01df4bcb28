// Contraction of source differences with destination gradients: the heart of edge attribution.
#include <algorithm>
#include <memory>

#include "common/measure.h"
#include "common/on_device.h"
#include "headspark/ops/edge_contraction.h"
#include "ops/benchmark.h"

namespace headspark::bench {
namespace {

struct ContractionData {
  std::int64_t sources, destinations, length;
  std::vector<float> delta, gradient;
  Buffer<float> delta_there, gradient_there, scores;

  ContractionData(const Context& context, std::int64_t from, std::int64_t to, std::int64_t axis)
      : sources(from),
        destinations(to),
        length(axis),
        delta(noise(from * axis)),
        gradient(noise(to * axis)),
        delta_there(to_device(context, delta)),
        gradient_there(to_device(context, gradient)),
        scores(floats(context, from * to)) {}

  static EdgeContraction params(std::int64_t sources, std::int64_t destinations,
                                std::int64_t length, const float* delta, const float* gradient,
                                float* scores) {
    return {sources, destinations, length, delta, length, gradient, length, scores, destinations};
  }
  void run(const Context& context) {
    scores.zero();
    edge_contraction(context, params(sources, destinations, length, delta_there.data(),
                                     gradient_there.data(), scores.data()));
  }
  double error(const Context& reference) const {
    const std::int64_t few = std::min<std::int64_t>(sources, 4);
    std::vector<float> expected(static_cast<std::size_t>(few * destinations), 0.0f);
    edge_contraction(reference, params(few, destinations, length, delta.data(), gradient.data(),
                                       expected.data()));
    return relative_error(scores.to_host(), expected);
  }
};

void add_contraction(std::vector<Benchmark>& all, const Context& context, std::int64_t sources,
                     std::int64_t destinations, std::int64_t length) {
  const auto data = on_first_use<ContractionData>(context, sources, destinations, length);
  all.push_back({"edge_contraction " + std::to_string(sources) + "x" +
                     std::to_string(destinations) + "x" + std::to_string(length),
                 2.0 * static_cast<double>(sources * destinations) * static_cast<double>(length),
                 4.0 * static_cast<double>((sources + destinations) * length),
                 [=] { data->run(context); },
                 [=](const Context& reference) { return data->error(reference); }});
}

}  // namespace

std::vector<Benchmark> contraction_benchmarks(const Context& context, bool quick) {
  std::vector<Benchmark> all;
  if (context.on_cpu()) {
    if (!quick) add_contraction(all, context, 300, 840, 18000);
    add_contraction(all, context, 300, 27, 18000);
    return all;
  }
  // Qwen2.5-1.5B: all its edges on 128 tokens, and those into the heads of its last layer.
  if (!quick) add_contraction(all, context, 365, 1037, 128 * 1536);
  add_contraction(all, context, quick ? 30 : 365, 36, quick ? 4096 : 128 * 1536);
  return all;
}

}  // namespace headspark::bench
