// Specification: index[r] = the smallest i with x[r, i] = max over j of x[r, j].
#include "ops/backends.h"

namespace headspark {

std::int64_t argmax_of_row(const float* x, std::int64_t width) {
  std::int64_t best = 0;
  for (std::int64_t i = 1; i < width; ++i) {
    if (x[i] > x[best]) best = i;
  }
  return best;
}

void argmax_rows_cpu(const Context& context, std::int64_t rows, std::int64_t width, const float* x,
                     std::int32_t* index) {
  context.threads->parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      index[row] = static_cast<std::int32_t>(argmax_of_row(x + row * width, width));
    }
  });
}

}  // namespace headspark
