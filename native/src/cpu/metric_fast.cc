// The metrics over the kernel table, kl apart (kl_fast.cc); formulas in src/ops/metric_cpu.cc. Only
// passes over the whole vocabulary are vectorised; token sets are short.
#include <cmath>

#include "cpu/fast_ops.h"
#include "cpu/kernel_table.h"
#include "ops/token_set.h"

namespace headspark {

double log_sum_exp(const KernelTable& kernels, const float* x, std::int64_t count) {
  const float largest = kernels.largest(x, count);
  return largest + std::log(kernels.sum_exp(x, count, largest));
}

namespace {

double metric_value(const KernelTable& kernels, const MetricForward& p, std::int64_t row) {
  const float* x = p.logits + row * p.vocab;
  const TokenSet correct(p.correct, p.correct_begin, row);
  const TokenSet incorrect(p.incorrect, p.incorrect_begin, row);
  switch (p.metric) {
    case Metric::logit_diff:
      return correct.mean_logit(x) - incorrect.mean_logit(x);
    case Metric::prob_diff: {
      const double lse = log_sum_exp(kernels, x, p.vocab);
      return correct.mass(x, lse) - incorrect.mass(x, lse);
    }
    default:
      return log_sum_exp(kernels, x, p.vocab) - x[correct.begin[0]];
  }
}

void add_sets(float* g, const TokenSet& set, double weight) {
  for (std::int64_t i = 0; i < set.size; ++i) {
    g[set.begin[i]] = static_cast<float>(g[set.begin[i]] + weight);
  }
}

void softmax_gradient(const KernelTable& kernels, const MetricForward& p, std::int64_t row,
                      float* g) {
  const float* x = p.logits + row * p.vocab;
  const TokenSet correct(p.correct, p.correct_begin, row);
  const TokenSet incorrect(p.incorrect, p.incorrect_begin, row);
  const double lse = log_sum_exp(kernels, x, p.vocab);
  kernels.exp_range(x, p.vocab, static_cast<float>(lse), g);
  if (p.metric == Metric::prob_diff) {
    // p (m - value): the value everywhere, then m at the tokens of the sets.
    const double value = correct.mass(x, lse) - incorrect.mass(x, lse);
    for (std::int64_t i = 0; i < p.vocab; ++i) g[i] *= static_cast<float>(-value);
    for (std::int64_t i = 0; i < correct.size; ++i) {
      g[correct.begin[i]] += static_cast<float>(std::exp(x[correct.begin[i]] - lse));
    }
    for (std::int64_t i = 0; i < incorrect.size; ++i) {
      g[incorrect.begin[i]] -= static_cast<float>(std::exp(x[incorrect.begin[i]] - lse));
    }
  } else {
    add_sets(g, correct, -1.0);
  }
}

}  // namespace

void metric_forward_fast(const Context& context, const MetricForward& p) {
  if (p.metric == Metric::kl) return kl_forward_fast(context, p);
  const KernelTable& kernels = kernel_table(context);
  context.threads->parallel_for(p.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      p.value[r] = static_cast<float>(metric_value(kernels, p, r));
    }
  });
}

void metric_backward_fast(const Context& context, const MetricBackward& p) {
  if (p.forward.metric == Metric::kl) return kl_backward_fast(context, p);
  const KernelTable& kernels = kernel_table(context);
  const MetricForward& f = p.forward;
  context.threads->parallel_for(f.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      float* g = p.d_logits + r * f.vocab;
      if (f.metric == Metric::logit_diff) {
        const TokenSet correct(f.correct, f.correct_begin, r);
        const TokenSet incorrect(f.incorrect, f.incorrect_begin, r);
        for (std::int64_t i = 0; i < f.vocab; ++i) g[i] = 0.0f;
        add_sets(g, correct, 1.0 / correct.divisor());
        add_sets(g, incorrect, -1.0 / incorrect.divisor());
      } else {
        softmax_gradient(kernels, f, r, g);
      }
      for (std::int64_t i = 0; i < f.vocab; ++i) g[i] *= p.d_value[r];
    }
  });
}

}  // namespace headspark
