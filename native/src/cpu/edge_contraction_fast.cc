// edge_contraction as a product of two row-major matrices over a long depth, and the L1 proximity.
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/gemm.h"
#include "cpu/kernel_table.h"

namespace headspark {

void edge_contraction_fast(const Context& context, const EdgeContraction& p) {
  Gemm problem;
  problem.rows = p.sources;
  problem.columns = p.destinations;
  problem.depth = p.length;
  problem.a = p.delta;
  problem.a_stride = p.delta_stride;
  problem.b.by_column = p.gradient;
  problem.b.stride = p.gradient_stride;
  problem.c = p.scores;
  problem.c_stride = p.scores_stride;
  problem.initial = p.scores;
  gemm(context, problem);
}

void flow_proximity_fast(const Context& context, const FlowProximity& p) {
  const KernelTable& kernels = kernel_table(context);
  std::vector<double> proximity(static_cast<std::size_t>(p.tokens * p.sources));
  context.threads->parallel_for(p.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* input = p.input + t * p.width;
      const double norm = kernels.abs_sum(input, p.width);
      double total = 0.0;
      for (std::int64_t u = 0; u < p.sources; ++u) {
        const float* write = p.write + u * p.write_stride + t * p.width;
        const double value = norm - kernels.abs_diff_sum(input, write, p.width);
        total += (proximity[t * p.sources + u] = value < 0.0 ? 0.0 : value);
      }
      for (std::int64_t u = 0; total > 0.0 && u < p.sources; ++u) {
        proximity[t * p.sources + u] /= total;
      }
    }
  });
  for (std::int64_t u = 0; u < p.sources; ++u) {
    double sum = 0.0;
    for (std::int64_t t = 0; t < p.tokens; ++t) sum += proximity[t * p.sources + u];
    p.scores[u] = static_cast<float>(p.scores[u] + sum);
  }
}

}  // namespace headspark
