// Specification of attention patterns: p = softmax(scale q Kᵀ) over what the query sees of prefix
// and own tokens, 0 elsewhere (arXiv 1706.03762, eq. 1, with a mask). All sums in double.
#include <cmath>
#include <vector>

#include "ops/attention_view.h"
#include "ops/backends.h"
#include "ops/dot.h"

namespace headspark {
namespace {

/// p [0, prefix + own) of own token i.
void pattern_row(const AttentionPattern& p, const HeadView& view, std::int64_t i, float* out) {
  const std::int64_t first = view.first_key(i);
  const std::int64_t keys = view.prefix + i + 1;
  std::vector<double> scores(static_cast<std::size_t>(keys));
  double largest = -HUGE_VAL;
  for (std::int64_t j = first; j < keys; ++j) {
    const float* k = view.context(p.k, p.prefix_k, j);
    scores[j] = p.shape.scale * dot(p.q + view.query(i), k, p.shape.head_dim);
    if (!(scores[j] <= largest)) largest = scores[j];
  }
  double sum = 0.0;
  for (std::int64_t j = first; j < keys; ++j) sum += (scores[j] = std::exp(scores[j] - largest));
  for (std::int64_t j = 0; j < view.prefix + view.count; ++j) {
    out[j] = j < keys ? static_cast<float>(scores[j] / sum) : 0.0f;
  }
}

}  // namespace

void attention_pattern_cpu(const Context& context, const AttentionPattern& p) {
  const std::int64_t items = p.layout.rows * p.count;
  context.threads->parallel_for(items, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t item = first; item < last; ++item) {
      const std::int64_t row = item / p.count;
      const std::int64_t chosen = item % p.count;
      const HeadView view(p.shape, p.layout, row * p.shape.heads + p.heads[chosen]);
      const std::int64_t keys = view.prefix + view.count;
      float* map = p.pattern + p.pattern_begin[row] + chosen * view.count * keys;
      for (std::int64_t i = 0; i < view.count; ++i) pattern_row(p, view, i, map + i * keys);
    }
  });
}

}  // namespace headspark
