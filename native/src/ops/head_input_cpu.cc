// Specification of head_input_backward: per copy and head, the projection's backward, then the
// norm's at that copy's x, summed over copies in order. `projected` is not read: it only spares
// faster versions a product.
#include <vector>

#include "ops/backends.h"
#include "ops/head_gradient.h"

namespace headspark {
namespace {

void sum_copies(const Context& context, const HeadInputBackward& p,
                const HeadInputBackward::Projection& projection, std::int64_t head) {
  const std::int64_t in = p.in();
  std::vector<float> d_normed(static_cast<std::size_t>(p.tokens * in));
  float* y = projection.y + head * projection.y_stride;
  for (std::int64_t i = 0; i < p.tokens * in; ++i) y[i] = 0.0f;
  for (std::int64_t copy = 0; copy < p.copies; ++copy) {
    const float* d = projection.d + copy * p.tokens * projection.width(p.head_dim);
    linear_backward_cpu(context, head_gradient(p, projection, head, p.tokens, d, d_normed.data()));
    norm_backward_cpu(context, {.norm = p.norm,
                                .rows = p.tokens,
                                .x = p.x + copy * p.tokens * in,
                                .x_stride = in,
                                .d_y = d_normed.data(),
                                .d_y_stride = in,
                                .d_x = y,
                                .d_x_stride = in,
                                .mode = GradientMode::accumulate});
  }
}

}  // namespace

void head_input_backward_cpu(const Context& context, const HeadInputBackward& p) {
  for (const HeadInputBackward::Projection& projection : p.projections) {
    for (std::int64_t head = 0; head < projection.heads; ++head) {
      sum_copies(context, p, projection, head);
    }
  }
}

}  // namespace headspark
