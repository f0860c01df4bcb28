// Specification of head_input_backward: per copy and head, the projection's backward, then the
// norm's at that copy's x, summed over copies in order. `projected` is not read: it only spares
// faster versions a product.
#include <vector>

#include "ops/backends.h"

namespace headspark {

void head_input_backward_cpu(const Context& context, const HeadInputBackward& p) {
  const std::int64_t in = p.weight->in();
  const std::int64_t width = p.heads * p.head_dim;
  std::vector<float> d_normed(static_cast<std::size_t>(p.tokens * in));
  for (std::int64_t head = 0; head < p.heads; ++head) {
    float* y = p.y + head * p.y_stride;
    for (std::int64_t i = 0; i < p.tokens * in; ++i) y[i] = 0.0f;
    for (std::int64_t copy = 0; copy < p.copies; ++copy) {
      LinearBackward linear;
      linear.weight = p.weight;
      linear.slice.out_begin = head / p.share * p.head_dim;
      linear.slice.out_end = linear.slice.out_begin + p.head_dim;
      linear.tokens = p.tokens;
      linear.d_y = p.d + copy * p.tokens * width + head * p.head_dim;
      linear.d_y_stride = width;
      linear.d_x = d_normed.data();
      linear.d_x_stride = in;
      linear_backward_cpu(context, linear);
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
}

}  // namespace headspark
