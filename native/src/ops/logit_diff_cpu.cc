// Specification of logit_diff, with the direction u of a row's token sets in the unembedding W:
//   u = mean W[correct, :] - mean W[incorrect, :]
//   value = x · u + mean bias[correct] - mean bias[incorrect]      d_x = d_value u
// In double, token by token in their order. A few rows of W are read, so this is the fast path too.
#include <vector>

#include "ops/backends.h"
#include "ops/token_set.h"

namespace headspark {
namespace {

double mean_weight(const WeightView& view, const TokenSet& set, std::int64_t column) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < set.size; ++i) sum += view.at(set.begin[i], column);
  return sum / set.divisor();
}

std::vector<double> direction(const LogitDiffForward& p, std::int64_t row) {
  const WeightView& view = p.unembedding->view;
  const TokenSet correct(p.correct, p.correct_begin, row);
  const TokenSet incorrect(p.incorrect, p.incorrect_begin, row);
  std::vector<double> u;
  for (std::int64_t k = 0; k < view.cols; ++k) {
    u.push_back(mean_weight(view, correct, k) - mean_weight(view, incorrect, k));
  }
  return u;
}

double mean_bias(const std::vector<float>& bias, const TokenSet& set) {
  return bias.empty() ? 0.0 : set.mean_logit(bias.data());
}

}  // namespace

void logit_diff_forward_cpu(const Context& context, const LogitDiffForward& p) {
  const std::int64_t width = p.unembedding->in();
  const std::vector<float>& bias = p.unembedding->bias;
  context.threads->parallel_for(p.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::vector<double> u = direction(p, r);
      double sum = mean_bias(bias, TokenSet(p.correct, p.correct_begin, r)) -
                   mean_bias(bias, TokenSet(p.incorrect, p.incorrect_begin, r));
      for (std::int64_t k = 0; k < width; ++k) {
        sum += p.x[r * width + k] * u[static_cast<std::size_t>(k)];
      }
      p.value[r] = static_cast<float>(sum);
    }
  });
}

void logit_diff_backward_cpu(const Context& context, const LogitDiffBackward& p) {
  const std::int64_t width = p.forward.unembedding->in();
  context.threads->parallel_for(p.forward.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::vector<double> u = direction(p.forward, r);
      for (std::int64_t k = 0; k < width; ++k) {
        p.d_x[r * width + k] = static_cast<float>(p.d_value[r] * u[static_cast<std::size_t>(k)]);
      }
    }
  });
}

}  // namespace headspark
