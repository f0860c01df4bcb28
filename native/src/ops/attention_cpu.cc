// Specification of causal attention: per query, p = softmax(scale q Kᵀ) over prefix and own tokens
// up to itself, or those that its window has of them, raw = p V, z = s raw + (1 - s) r. Backward:
// P again, dS = P (dP - sum(P dP)), where FlashAttention (arXiv 2205.14135, appendix B) has
// sum(d_raw * raw) for the sum; what fp32 has cut off raw and lse would be all there is of a query
// that attends to one key. All sums in double.
#include <cmath>
#include <vector>

#include "ops/attention_view.h"
#include "ops/backends.h"
#include "ops/dot.h"
#include "ops/head_gate_apply.h"

namespace headspark {
namespace {

// p of the keys that own token i sees; returns the log-sum-exp.
double probabilities(const AttentionForward& p, const HeadView& view, std::int64_t i,
                     std::vector<double>& weights) {
  weights.clear();
  double largest = -HUGE_VAL;
  for (std::int64_t j = view.first_key(i); j <= view.prefix + i; ++j) {
    weights.push_back(p.shape.scale *
                      dot(p.q + view.query(i), view.context(p.k, p.prefix_k, j), p.shape.head_dim));
    if (!(weights.back() <= largest)) largest = weights.back();
  }
  double sum = 0.0;
  for (double& w : weights) sum += (w = std::exp(w - largest));
  for (double& w : weights) w /= sum;
  return largest + std::log(sum);
}

void forward_token(const AttentionForward& p, const HeadView& view, std::int64_t i,
                   std::vector<double>& weights) {
  const std::int64_t head_dim = p.shape.head_dim;
  const double lse = probabilities(p, view, i, weights);
  const GatedToken at{view.row, i, view.prefix + i};
  const float scale = gate_scale(p.gate, at, view.head, p.shape.heads);
  const float* r = gate_replacement(p.gate, at, view.head, p.shape.heads, head_dim);
  for (std::int64_t d = 0; d < head_dim; ++d) {
    double sum = 0.0;
    for (std::size_t j = 0; j < weights.size(); ++j) {
      const std::int64_t key = view.first_key(i) + static_cast<std::int64_t>(j);
      sum += weights[j] * view.context(p.v, p.prefix_v, key)[d];
    }
    const float raw = static_cast<float>(sum);
    if (p.raw != nullptr) p.raw[view.query(i) + d] = raw;
    p.z[view.query(i) + d] = gated_value(scale, raw, r != nullptr ? r[d] : 0.0f);
  }
  if (p.lse != nullptr) {
    p.lse[(view.begin + i) * p.shape.heads + view.head] = static_cast<float>(lse);
  }
}

// Gradients of one (row, head) in double; k and v only of the own tokens.
struct HeadGradient {
  std::vector<double> k;
  std::vector<double> v;
  std::vector<double> q;
  // Of one query, over its keys; not yet divided by their sum.
  std::vector<double> probabilities;
  std::vector<double> d_probabilities;
};

void backward_token(const AttentionBackward& p, const HeadView& view, std::int64_t i,
                    HeadGradient& d) {
  const std::int64_t head_dim = p.shape.head_dim;
  const std::int64_t first = view.first_key(i);
  const std::int64_t keys = view.prefix + i + 1;
  const GatedToken at{view.row, i, view.prefix + i};
  // forward: z = s raw + (1 - s) r
  const double scale = gate_scale(p.gate, at, view.head, p.shape.heads);
  std::vector<float> d_raw(static_cast<std::size_t>(head_dim));
  for (std::int64_t e = 0; e < head_dim; ++e) {
    d_raw[e] = static_cast<float>(scale * p.d_z[view.query(i) + e]);
  }
  const float* q = p.q + view.query(i);
  d.q.assign(static_cast<std::size_t>(head_dim), 0.0);
  d.probabilities.resize(static_cast<std::size_t>(keys));
  d.d_probabilities.resize(static_cast<std::size_t>(keys));
  const double lse = p.lse[(view.begin + i) * p.shape.heads + view.head];
  double sum = 0.0;
  double d_sum = 0.0;
  for (std::int64_t j = first; j < keys; ++j) {
    // forward: p = exp(scale q·k - lse); raw = p V
    const double score = p.shape.scale * dot(q, view.context(p.k, p.prefix_k, j), head_dim);
    d.probabilities[j] = std::exp(score - lse);
    d.d_probabilities[j] = dot(d_raw.data(), view.context(p.v, p.prefix_v, j), head_dim);
    sum += d.probabilities[j];
    d_sum += d.probabilities[j] * d.d_probabilities[j];
  }
  for (std::int64_t j = first; j < keys; ++j) {
    const float* k = view.context(p.k, p.prefix_k, j);
    const double prob = d.probabilities[j] / sum;
    const double d_score = prob * (d.d_probabilities[j] - d_sum / sum) * p.shape.scale;
    const std::int64_t own = j - view.prefix;
    for (std::int64_t e = 0; e < head_dim; ++e) {
      d.q[e] += d_score * k[e];
      if (own >= 0) {
        d.k[own * head_dim + e] += d_score * q[e];
        d.v[own * head_dim + e] += prob * d_raw[e];
      }
    }
  }
  for (std::int64_t e = 0; e < head_dim; ++e) {
    p.d_q[view.query(i) + e] = static_cast<float>(d.q[e]);
  }
}

}  // namespace

void attention_forward_cpu(const Context& context, const AttentionForward& p) {
  const std::int64_t items = p.layout.rows * p.shape.heads;
  context.threads->parallel_for(items, 1, [&](std::int64_t first, std::int64_t last) {
    std::vector<double> weights;
    for (std::int64_t item = first; item < last; ++item) {
      const HeadView view(p.shape, p.layout, item);
      for (std::int64_t i = view.first; i < view.count; ++i) forward_token(p, view, i, weights);
    }
  });
}

void attention_backward_cpu(const Context& context, const AttentionBackward& p) {
  const std::int64_t items = p.layout.rows * p.shape.heads;
  context.threads->parallel_for(items, 1, [&](std::int64_t first, std::int64_t last) {
    HeadGradient d;
    for (std::int64_t item = first; item < last; ++item) {
      const HeadView view(p.shape, p.layout, item);
      d.k.assign(static_cast<std::size_t>(view.count * p.shape.head_dim), 0.0);
      d.v = d.k;
      for (std::int64_t i = 0; i < view.first; ++i) {
        for (std::int64_t e = 0; e < p.shape.head_dim; ++e) p.d_q[view.query(i) + e] = 0.0f;
      }
      for (std::int64_t i = view.first; i < view.count; ++i) backward_token(p, view, i, d);
      for (std::int64_t i = 0; i < view.count; ++i) {
        for (std::int64_t e = 0; e < p.shape.head_dim; ++e) {
          p.d_k[view.query(i) + e] = static_cast<float>(d.k[i * p.shape.head_dim + e]);
          p.d_v[view.query(i) + e] = static_cast<float>(d.v[i * p.shape.head_dim + e]);
        }
      }
    }
  });
}

void sum_head_groups_cpu(const Context& context, const AttentionShape& shape, std::int64_t tokens,
                         const float* per_head, float* grouped) {
  const std::int64_t group = shape.heads / shape.kv_heads;
  context.threads->parallel_for(tokens, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * shape.kv_heads; i < end * shape.kv_heads; ++i) {
      const float* x = per_head + i * group * shape.head_dim;
      float* y = grouped + i * shape.head_dim;
      for (std::int64_t d = 0; d < shape.head_dim; ++d) y[d] = x[d];
      for (std::int64_t h = 1; h < group; ++h) {
        for (std::int64_t d = 0; d < shape.head_dim; ++d) y[d] += x[h * shape.head_dim + d];
      }
    }
  });
}

}  // namespace headspark
