// Specification: y[v, i] = base[i] + sum over u, in order, of mask[u, v] * difference[u, i], at all
// positions i or at those of some tokens.
#include <algorithm>

#include "ops/backends.h"

namespace headspark {
namespace {

constexpr std::int64_t kGrain = 512;  // positions

void sum_range(const EdgeSum& p, std::int64_t begin, std::int64_t end) {
  for (std::int64_t v = 0; v < p.destinations; ++v) {
    float* y = p.y + v * p.y_stride;
    if (p.base != nullptr) std::copy(p.base + begin, p.base + end, y + begin);
    for (std::int64_t u = 0; u < p.sources; ++u) {
      if (p.mask[u * p.mask_stride + v] == 0) continue;
      const float* difference = p.difference + u * p.difference_stride;
      for (std::int64_t i = begin; i < end; ++i) y[i] += difference[i];
    }
  }
}

}  // namespace

void edge_sum_cpu(const Context& context, const EdgeSum& params) {
  if (params.index == nullptr) {
    context.threads->parallel_for(params.length, kGrain, [&](std::int64_t begin, std::int64_t end) {
      sum_range(params, begin, end);
    });
    return;
  }
  const std::int64_t tokens = params.length / params.width;
  context.threads->parallel_for(tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      sum_range(params, params.index[t] * params.width, (params.index[t] + 1) * params.width);
    }
  });
}

}  // namespace headspark
