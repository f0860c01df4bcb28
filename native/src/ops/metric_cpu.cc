// Specification of the metrics of one logits row x, p = softmax(x), and their gradients:
//   logit-diff  mean x[correct] - mean x[incorrect]         ± 1 / |set|
//   prob-diff   sum p[correct] - sum p[incorrect] = Σ p m   p (m - value), m = ±1 in the sets, else
//   0 kl          Σ q (log q - log p), q = softmax(clean)     p - q nll         lse(x) - x[correct]
//   p - 1[correct]
// In double.
#include <cmath>
#include <vector>

#include "ops/backends.h"
#include "ops/token_set.h"

namespace headspark {
namespace {

double log_sum_exp(const float* x, std::int64_t count) {
  double largest = -HUGE_VAL;
  for (std::int64_t i = 0; i < count; ++i) {
    if (!(x[i] <= largest)) largest = x[i];
  }
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += std::exp(x[i] - largest);
  return largest + std::log(sum);
}

double kl_divergence(const float* clean, const float* x, std::int64_t vocab) {
  const double clean_lse = log_sum_exp(clean, vocab);
  const double lse = log_sum_exp(x, vocab);
  double sum = 0.0;
  for (std::int64_t i = 0; i < vocab; ++i) {
    const double log_q = clean[i] - clean_lse;
    const double q = std::exp(log_q);
    if (q > 0.0) sum += q * (log_q - (x[i] - lse));  // q = 0 contributes 0, not 0 * infinity
  }
  return sum;
}

double metric_value(const MetricForward& p, std::int64_t row) {
  const float* x = p.logits + row * p.vocab;
  const TokenSet correct(p.correct, p.correct_begin, row);
  const TokenSet incorrect(p.incorrect, p.incorrect_begin, row);
  switch (p.metric) {
    case Metric::logit_diff:
      return correct.mean_logit(x) - incorrect.mean_logit(x);
    case Metric::prob_diff: {
      const double lse = log_sum_exp(x, p.vocab);
      return correct.mass(x, lse) - incorrect.mass(x, lse);
    }
    case Metric::kl:
      return kl_divergence(p.clean_logits + clean_row_of(p, row) * p.vocab, x, p.vocab);
    default:
      return log_sum_exp(x, p.vocab) - x[correct.begin[0]];
  }
}

// Per token of the vocabulary: weight for each time it is in `correct`, -weight in `incorrect`.
void add_sets(std::vector<double>& m, const TokenSet& set, double weight) {
  for (std::int64_t i = 0; i < set.size; ++i) m[set.begin[i]] += weight;
}

void metric_gradient(const MetricForward& p, std::int64_t row, std::vector<double>& g) {
  const float* x = p.logits + row * p.vocab;
  const TokenSet correct(p.correct, p.correct_begin, row);
  const TokenSet incorrect(p.incorrect, p.incorrect_begin, row);
  g.assign(static_cast<std::size_t>(p.vocab), 0.0);
  if (p.metric == Metric::logit_diff) {
    add_sets(g, correct, 1.0 / correct.divisor());
    add_sets(g, incorrect, -1.0 / incorrect.divisor());
    return;
  }
  const double lse = log_sum_exp(x, p.vocab);
  if (p.metric == Metric::prob_diff) {
    const double value = correct.mass(x, lse) - incorrect.mass(x, lse);
    add_sets(g, correct, 1.0);
    add_sets(g, incorrect, -1.0);
    for (std::int64_t i = 0; i < p.vocab; ++i) g[i] = std::exp(x[i] - lse) * (g[i] - value);
    return;
  }
  for (std::int64_t i = 0; i < p.vocab; ++i) g[i] = std::exp(x[i] - lse);
  if (p.metric == Metric::kl) {
    const float* clean = p.clean_logits + clean_row_of(p, row) * p.vocab;
    const double clean_lse = log_sum_exp(clean, p.vocab);
    for (std::int64_t i = 0; i < p.vocab; ++i) g[i] -= std::exp(clean[i] - clean_lse);
  } else {
    add_sets(g, correct, -1.0);
  }
}

}  // namespace

void metric_forward_cpu(const Context& context, const MetricForward& p) {
  context.threads->parallel_for(p.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) p.value[r] = static_cast<float>(metric_value(p, r));
  });
}

void metric_backward_cpu(const Context& context, const MetricBackward& p) {
  const MetricForward& f = p.forward;
  context.threads->parallel_for(f.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<double> gradient;
    for (std::int64_t r = begin; r < end; ++r) {
      metric_gradient(f, r, gradient);
      for (std::int64_t i = 0; i < f.vocab; ++i) {
        p.d_logits[r * f.vocab + i] = static_cast<float>(p.d_value[r] * gradient[i]);
      }
    }
  });
}

}  // namespace headspark
