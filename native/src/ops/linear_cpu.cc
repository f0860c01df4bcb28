// Specification of linear: y = x Wᵀ + b + scale (x Aᵀ) Bᵀ and d_x = d_y W + scale (d_y B) A.
// Dot products run in double over K in order: the yardstick for every other kernel. The low-rank
// term is LoRA (arXiv 2106.09685), kept apart from W.
#include <vector>

#include "ops/backends.h"
#include "ops/dot.h"
#include "ops/linear_range.h"

namespace headspark {
namespace {

// One row or column of the stored matrix as fp32, so that the loops below stay plain.
std::vector<float> weight_row(const WeightView& view, std::int64_t out, const LinearRange& range) {
  std::vector<float> row(static_cast<std::size_t>(range.in()));
  for (std::int64_t i = 0; i < range.in(); ++i) row[i] = view.at(out, range.in_begin + i);
  return row;
}

std::vector<float> weight_column(const WeightView& view, std::int64_t in,
                                 const LinearRange& range) {
  std::vector<float> column(static_cast<std::size_t>(range.out()));
  for (std::int64_t o = 0; o < range.out(); ++o) column[o] = view.at(range.out_begin + o, in);
  return column;
}

// x Aᵀ: [tokens, rank].
std::vector<double> low_rank_inner(const Context& context, const LinearForward& p,
                                   const LinearRange& range) {
  const LowRank& low = *p.weight->low_rank;
  std::vector<double> inner(static_cast<std::size_t>(p.tokens * low.rank));
  context.threads->parallel_for(low.rank, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::vector<float> a = weight_row(low.a.view, r, range);
      for (std::int64_t t = 0; t < p.tokens; ++t) {
        inner[t * low.rank + r] = dot(p.x + t * p.x_stride, a.data(), range.in());
      }
    }
  });
  return inner;
}

// d_y B: [tokens, rank].
std::vector<double> low_rank_d_inner(const Context& context, const LinearBackward& p,
                                     const LinearRange& range) {
  const LowRank& low = *p.weight->low_rank;
  std::vector<double> d_inner(static_cast<std::size_t>(p.tokens * low.rank), 0.0);
  context.threads->parallel_for(p.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      for (std::int64_t o = 0; o < range.out(); ++o) {
        const double d_y = p.d_y[t * p.d_y_stride + o];
        for (std::int64_t r = 0; r < low.rank; ++r) {
          d_inner[t * low.rank + r] += d_y * low.b.at(range.out_begin + o, r);
        }
      }
    }
  });
  return d_inner;
}

}  // namespace

void linear_forward_cpu(const Context& context, const LinearForward& p) {
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_forward");
  const LowRank* low = p.weight->low_rank.get();
  const std::vector<double> inner = low ? low_rank_inner(context, p, range) : std::vector<double>();
  context.threads->parallel_for(range.out(), 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t o = begin; o < end; ++o) {
      const std::int64_t out = range.out_begin + o;
      const std::vector<float> w = weight_row(p.weight->view, out, range);
      std::vector<float> b;  // [rank]
      for (std::int64_t r = 0; low && r < low->rank; ++r) b.push_back(low->b.at(out, r));
      const double bias = p.with_bias && !p.weight->bias.empty() ? p.weight->bias[out] : 0.0;
      for (std::int64_t t = 0; t < p.tokens; ++t) {
        // y = x Wᵀ + b + scale (x Aᵀ) Bᵀ
        double sum = bias + dot(p.x + t * p.x_stride, w.data(), range.in());
        for (std::int64_t r = 0; low && r < low->rank; ++r) {
          sum += low->scale * inner[t * low->rank + r] * b[r];
        }
        const std::int64_t at = t * p.y_stride + o;
        p.y[at] = static_cast<float>(p.residual != nullptr ? p.residual[at] + sum : sum);
      }
    }
  });
}

void linear_backward_cpu(const Context& context, const LinearBackward& p) {
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_backward");
  const LowRank* low = p.weight->low_rank.get();
  const std::vector<double> d_inner =
      low ? low_rank_d_inner(context, p, range) : std::vector<double>();
  context.threads->parallel_for(range.in(), 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t in = range.in_begin + i;
      const std::vector<float> w = weight_column(p.weight->view, in, range);
      std::vector<float> a;  // [rank]
      for (std::int64_t r = 0; low && r < low->rank; ++r) a.push_back(low->a.at(r, in));
      for (std::int64_t t = 0; t < p.tokens; ++t) {
        // d_x = d_y W + scale (d_y B) A
        double sum = dot(p.d_y + t * p.d_y_stride, w.data(), range.out());
        for (std::int64_t r = 0; low && r < low->rank; ++r) {
          sum += low->scale * d_inner[t * low->rank + r] * a[r];
        }
        float& d_x = p.d_x[t * p.d_x_stride + i];
        d_x = static_cast<float>(p.mode == GradientMode::accumulate ? d_x + sum : sum);
      }
    }
  });
}

}  // namespace headspark
