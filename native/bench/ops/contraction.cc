// Contraction of source differences with destination gradients: the heart of edge attribution.
#include <algorithm>
#include <memory>

#include "common/measure.h"
#include "headspark/ops/edge_contraction.h"
#include "ops/benchmark.h"

namespace headspark::bench {
namespace {

struct ContractionData {
  std::int64_t sources, destinations, length;
  std::vector<float> delta, gradient, scores;

  EdgeContraction params(std::int64_t rows, std::vector<float>& result) {
    result.assign(static_cast<std::size_t>(rows * destinations), 0.0f);
    return {rows,   destinations,  length,      delta.data(), length, gradient.data(),
            length, result.data(), destinations};
  }
};

void add_contraction(std::vector<Benchmark>& all, std::int64_t sources, std::int64_t destinations,
                     std::int64_t length) {
  const auto data = std::make_shared<ContractionData>(ContractionData{
      sources, destinations, length, noise(sources * length), noise(destinations * length), {}});
  all.push_back(
      {"edge_contraction " + std::to_string(sources) + "x" + std::to_string(destinations) + "x" +
           std::to_string(length),
       2.0 * static_cast<double>(sources * destinations) * static_cast<double>(length),
       4.0 * static_cast<double>((sources + destinations) * length),
       [=](const Context& c) { edge_contraction(c, data->params(sources, data->scores)); },
       [=](const Context& c) {
         std::vector<float> expected;
         edge_contraction(c, data->params(std::min<std::int64_t>(sources, 4), expected));
         return relative_error(data->scores, expected);
       }});
}

}  // namespace

std::vector<Benchmark> contraction_benchmarks(bool quick) {
  std::vector<Benchmark> all;
  if (!quick) add_contraction(all, 300, 840, 18000);
  add_contraction(all, 300, 27, 18000);
  return all;
}

}  // namespace headspark::bench
