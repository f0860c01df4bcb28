// Specification of the attribution sums. edge_contraction: scores[u, v] += sum over i of
// delta[u, i] gradient[v, i] (EAP-IG, arXiv 2403.17806). flow_proximity: arXiv 2403.00824, eq. 4-5.
// All sums in double, in order.
#include <cmath>
#include <vector>

#include "ops/backends.h"

namespace headspark {

void edge_contraction_cpu(const Context& context, const EdgeContraction& p) {
  context.threads->parallel_for(p.sources, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t u = begin; u < end; ++u) {
      const float* delta = p.delta + u * p.delta_stride;
      for (std::int64_t v = 0; v < p.destinations; ++v) {
        const float* gradient = p.gradient + v * p.gradient_stride;
        double sum = 0.0;
        for (std::int64_t i = 0; i < p.length; ++i) {
          sum += static_cast<double>(delta[i]) * gradient[i];
        }
        float& score = p.scores[u * p.scores_stride + v];
        score = static_cast<float>(score + sum);
      }
    }
  });
}

void flow_proximity_cpu(const Context& context, const FlowProximity& p) {
  // proximity[t, u] first, so that the sum over tokens runs in token order for every source.
  std::vector<double> proximity(static_cast<std::size_t>(p.tokens * p.sources));
  context.threads->parallel_for(p.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* input = p.input + t * p.width;
      double norm = 0.0;
      for (std::int64_t i = 0; i < p.width; ++i) norm += std::fabs(input[i]);
      double total = 0.0;
      for (std::int64_t u = 0; u < p.sources; ++u) {
        const float* write = p.write + u * p.write_stride + t * p.width;
        double rest = 0.0;
        for (std::int64_t i = 0; i < p.width; ++i) {
          rest += std::fabs(static_cast<double>(input[i]) - write[i]);
        }
        const double value = norm - rest;
        total += (proximity[t * p.sources + u] = value < 0.0 ? 0.0 : value);
      }
      // No source near the input at all: the token says nothing, rather than 0 / 0.
      for (std::int64_t u = 0; total > 0.0 && u < p.sources; ++u) {
        proximity[t * p.sources + u] /= total;
      }
    }
  });
  sum_proximities(p, proximity);
}

void sum_proximities(const FlowProximity& p, std::span<const double> proximity) {
  for (std::int64_t pair = 0; pair < p.pairs; ++pair) {
    const std::int64_t begin = p.begin != nullptr ? p.begin[pair] : 0;
    const std::int64_t end = p.begin != nullptr ? p.begin[pair + 1] : p.tokens;
    for (std::int64_t u = 0; u < p.sources; ++u) {
      double sum = 0.0;
      for (std::int64_t t = begin; t < end; ++t) sum += proximity[t * p.sources + u];
      float& score = p.scores[pair * p.sources + u];
      score = static_cast<float>(score + sum);
    }
  }
}

}  // namespace headspark
