// Specification of row movement and element-wise sums. Double where something is summed.
#include <cmath>
#include <cstring>

#include "ops/backends.h"

namespace headspark {

void gather_rows_cpu(const Context& context, std::int64_t count, std::int64_t width,
                     const std::int32_t* index, const float* x, float* y) {
  context.threads->parallel_for(count, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::memcpy(y + i * width, x + index[i] * width,
                  static_cast<std::size_t>(width) * sizeof(float));
    }
  });
}

void scatter_add_rows_cpu(const Context& context, std::int64_t count, std::int64_t width,
                          const std::int32_t* index, const float* x, float* y) {
  context.threads->parallel_for(count, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      for (std::int64_t j = 0; j < width; ++j) y[index[i] * width + j] += x[i * width + j];
    }
  });
}

void combine_cpu(const Context& context, const Combine& p) {
  const float* base = p.base != nullptr ? p.base : p.y;
  context.threads->parallel_for(p.count, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const double y = p.b != 0.0f ? static_cast<double>(p.b) * base[i] : 0.0;
      p.y[i] = static_cast<float>(static_cast<double>(p.a) * p.x[i] + y);
    }
  });
}

void interpolate_cpu(const Context& context, const Interpolate& p) {
  context.threads->parallel_for(p.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const double alpha = p.alpha[r];
      for (std::int64_t i = r * p.width; i < (r + 1) * p.width; ++i) {
        p.y[i] = static_cast<float>(alpha * p.clean[i] + (1.0 - alpha) * p.corrupted[i]);
      }
    }
  });
}

void sum_blocks_cpu(const Context& context, const SumBlocks& p) {
  const std::int64_t count = p.groups * p.block;
  context.threads->parallel_for(count, 4096, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* x = p.x + (i / p.block) * p.steps * p.block + i % p.block;
      double sum = p.add_to_y ? p.y[i] : 0.0;
      for (std::int64_t s = 0; s < p.steps; ++s) sum += x[s * p.block];
      p.y[i] = static_cast<float>(sum);
    }
  });
}

void sum_rows_cpu(const Context& context, const SumRows& p) {
  context.threads->parallel_for(p.width, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = 0; t < p.rows; ++t) {
      double* sums = p.sums + (p.slots != nullptr ? p.slots[t] * p.width : 0);
      for (std::int64_t i = begin; i < end; ++i) sums[i] += p.x[t * p.width + i];
    }
  });
}

void row_norms_cpu(const Context& context, const RowNorms& p) {
  context.threads->parallel_for(p.rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* x = p.x + (p.index != nullptr ? p.index[row] : row) * p.width;
      double squares = 0.0;
      for (std::int64_t i = 0; i < p.width; ++i) squares += static_cast<double>(x[i]) * x[i];
      p.norms[row] = std::sqrt(squares);
    }
  });
}

}  // namespace headspark
