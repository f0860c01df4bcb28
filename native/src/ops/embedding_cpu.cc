// Specification of embedding: y[t, :] (+)= scale * table[indices[t], :], the product rounded to
// fp32.
#include "ops/backends.h"

namespace headspark {

void embedding_forward_cpu(const Context& context, const EmbeddingForward& p) {
  const std::int64_t width = p.table->cols;
  context.threads->parallel_for(p.tokens, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {
      float* y = p.y + t * width;
      for (std::int64_t i = 0; i < width; ++i) {
        const float value = p.scale * p.table->at(p.indices[t], i);
        y[i] = p.add_to_y ? y[i] + value : value;
      }
    }
  });
}

}  // namespace headspark
