// Specification of rotary embedding (arXiv 2104.09864), half-split: with a = x[i], b = x[i +
// pairs],
//   a' = a cos - b sin, b' = b cos + a sin,
// times the scale.  Backward is the rotation by the opposite angle, times the scale.
#include <algorithm>

#include "ops/backends.h"

namespace headspark {
namespace {

void rotate(const Context& context, const Rotary& p, double direction) {
  const std::int64_t pairs = p.table->pairs;
  context.threads->parallel_for(p.tokens, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* cosine = p.table->cosine.data() + p.positions[t] * pairs;
      const float* sine = p.table->sine.data() + p.positions[t] * pairs;
      for (std::int64_t h = 0; h < p.heads; ++h) {
        const std::int64_t at = (t * p.heads + h) * p.head_dim;
        float* x = p.x + at;
        if (p.x_from != nullptr) std::copy_n(p.x_from + at, p.head_dim, x);
        for (std::int64_t i = 0; i < pairs; ++i) {
          const double a = x[i];
          const double b = x[i + pairs];
          const double c = static_cast<double>(p.scale) * cosine[i];
          const double s = direction * static_cast<double>(p.scale) * sine[i];
          x[i] = static_cast<float>(a * c - b * s);
          x[i + pairs] = static_cast<float>(b * c + a * s);
        }
      }
    }
  });
}

}  // namespace

void rotary_forward_cpu(const Context& context, const Rotary& params) {
  rotate(context, params, 1.0);
}

void rotary_backward_cpu(const Context& context, const Rotary& params) {
  rotate(context, params, -1.0);
}

}  // namespace headspark
