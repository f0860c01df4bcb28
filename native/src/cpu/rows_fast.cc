// Row-wise and element-wise ops over the kernel table: only the cutting into ranges is here.
#include <algorithm>
#include <cmath>

#include "cpu/fast_ops.h"
#include "cpu/kernel_table.h"

namespace headspark {
namespace {

constexpr std::int64_t kElementGrain = 8192;  // 32 KB per range: an L1

// Rows per range so that a range is worth waking a thread for.
std::int64_t row_grain(std::int64_t width) {
  return std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(width, 1));
}

// Values among which the first of the largest is looked for once their range is known to hold it.
constexpr std::int64_t kSearched = 1024;

/// The first position of the largest of count > 0 values.
std::int64_t first_largest(const KernelTable& kernels, const float* x, std::int64_t count) {
  float best = 0.0f;
  std::int64_t begin = -1;
  for (std::int64_t i = 0; i < count; i += kSearched) {
    const float largest = kernels.largest(x + i, std::min(kSearched, count - i));
    // The specification's comparisons pass by a NaN, or never get away from it.
    if (std::isnan(largest)) return argmax_of_row(x, count);
    if (begin >= 0 && !(largest > best)) continue;
    best = largest;
    begin = i;
  }
  return std::find(x + begin, x + count, best) - x;
}

}  // namespace

NormRow norm_row(const NormWeight& norm) {
  NormRow row;
  row.weight = norm.weight.data();
  row.bias = norm.bias.empty() ? nullptr : norm.bias.data();
  row.width = static_cast<std::int64_t>(norm.weight.size());
  row.epsilon = norm.epsilon;
  row.centered = norm.kind == NormKind::layer;
  row.fixed = norm.kind == NormKind::fixed;
  return row;
}

void norm_rows(const KernelTable& kernels, const NormForward& p) {
  NormRow row = norm_row(*p.norm);
  for (std::int64_t r = 0; r < p.rows; ++r) {
    row.x = p.x + r * p.x_stride;
    row.out = p.y + r * p.y_stride;
    kernels.norm_forward(row);
  }
}

void norm_forward_fast(const Context& context, const NormForward& p) {
  const KernelTable& kernels = kernel_table(context);
  const auto width = static_cast<std::int64_t>(p.norm->weight.size());
  context.threads->parallel_for(p.rows, row_grain(width), [&](auto begin, auto end) {
    NormForward part = p;
    part.rows = end - begin;
    part.x += begin * p.x_stride;
    part.y += begin * p.y_stride;
    norm_rows(kernels, part);
  });
}

void norm_backward_fast(const Context& context, const NormBackward& p) {
  const KernelTable& kernels = kernel_table(context);
  NormRow all = norm_row(*p.norm);
  all.accumulate = p.mode == GradientMode::accumulate;
  context.threads->parallel_for(p.rows, row_grain(all.width), [&](auto begin, auto end) {
    NormRow row = all;
    for (std::int64_t r = begin; r < end; ++r) {
      row.x = p.x + r * p.x_stride;
      row.d_y = p.d_y + r * p.d_y_stride;
      row.out = p.d_x + r * p.d_x_stride;
      kernels.norm_backward(row);
    }
  });
}

void norm_scale_fast(const Context& context, const NormScale& p) {
  const KernelTable& kernels = kernel_table(context);
  const NormRow all = norm_row(*p.norm);
  context.threads->parallel_for(p.rows, row_grain(all.width), [&](auto begin, auto end) {
    NormRow row = all;
    for (std::int64_t r = begin; r < end; ++r) {
      row.x = p.x + r * all.width;
      float mean = 0.0f;
      float rstd = 0.0f;
      kernels.norm_moments(row, &mean, &rstd);
      const std::int64_t at = r * p.parts_width;
      kernels.combine(rstd, p.z + at, 0.0f, p.y + at, p.parts_width);
    }
  });
}

void rotary_fast(const Context& context, const Rotary& p, float direction) {
  const KernelTable& kernels = kernel_table(context);
  const std::int64_t pairs = p.table->pairs;
  const std::int64_t width = p.heads * p.head_dim;
  context.threads->parallel_for(p.tokens, row_grain(width), [&](auto begin, auto end) {
    for (std::int64_t t = begin; t < end; ++t) {
      const float* cosine = p.table->cosine.data() + p.positions[t] * pairs;
      const float* sine = p.table->sine.data() + p.positions[t] * pairs;
      if (p.x_from != nullptr) std::copy_n(p.x_from + t * width, width, p.x + t * width);
      for (std::int64_t h = 0; h < p.heads; ++h) {
        float* x = p.x + t * width + h * p.head_dim;
        kernels.rotate({x, x + pairs, cosine, sine, pairs, p.scale, direction * p.scale});
      }
    }
  });
}

void mlp_activation_forward_fast(const Context& context, const MlpActivationForward& p) {
  const auto forward = kernel_table(context).activations[static_cast<int>(p.activation)].forward;
  context.threads->parallel_for(p.count, kElementGrain, [&](auto begin, auto end) {
    ActivationRange range;
    range.gate = p.gate + begin;
    range.up = p.up != nullptr ? p.up + begin : nullptr;
    range.out = p.y + begin;
    range.count = end - begin;
    forward(range);
  });
}

void mlp_activation_backward_fast(const Context& context, const MlpActivationBackward& p) {
  const auto backward = kernel_table(context).activations[static_cast<int>(p.activation)].backward;
  context.threads->parallel_for(p.count, kElementGrain, [&](auto begin, auto end) {
    ActivationRange range;
    range.gate = p.gate + begin;
    range.up = p.up != nullptr ? p.up + begin : nullptr;
    range.d_y = p.d_y + begin;
    range.out = p.d_gate + begin;
    range.d_up = p.up != nullptr ? p.d_up + begin : nullptr;
    range.count = end - begin;
    backward(range);
  });
}

void combine_fast(const Context& context, const Combine& p) {
  const KernelTable& kernels = kernel_table(context);
  context.threads->parallel_for(p.count, kElementGrain, [&](auto begin, auto end) {
    if (p.base != nullptr && p.b != 0.0f) std::copy(p.base + begin, p.base + end, p.y + begin);
    kernels.combine(p.a, p.x + begin, p.b, p.y + begin, end - begin);
  });
}

void interpolate_fast(const Context& context, const Interpolate& p) {
  const KernelTable& kernels = kernel_table(context);
  context.threads->parallel_for(p.rows, row_grain(p.width), [&](auto begin, auto end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t at = r * p.width;
      kernels.blend({p.alpha[r], p.clean + at, p.corrupted + at, p.y + at, p.width});
    }
  });
}

void sum_blocks_fast(const Context& context, const SumBlocks& p) {
  const KernelTable& kernels = kernel_table(context);
  const std::int64_t ranges = (p.block + kElementGrain - 1) / kElementGrain;
  context.threads->parallel_for(p.groups * ranges, 1, [&](auto first, auto last) {
    for (std::int64_t item = first; item < last; ++item) {
      const std::int64_t group = item / ranges;
      const std::int64_t begin = item % ranges * kElementGrain;
      const std::int64_t size = std::min(kElementGrain, p.block - begin);
      float* y = p.y + group * p.block + begin;
      if (!p.add_to_y) std::fill(y, y + size, 0.0f);
      for (std::int64_t s = 0; s < p.steps; ++s) {
        kernels.combine(1.0f, p.x + (group * p.steps + s) * p.block + begin, 1.0f, y, size);
      }
    }
  });
}

void argmax_rows_fast(const Context& context, std::int64_t rows, std::int64_t width, const float* x,
                      std::int32_t* index) {
  const KernelTable& kernels = kernel_table(context);
  context.threads->parallel_for(rows, row_grain(width), [&](auto begin, auto end) {
    for (std::int64_t r = begin; r < end; ++r) {
      index[r] = static_cast<std::int32_t>(first_largest(kernels, x + r * width, width));
    }
  });
}

void embedding_forward_fast(const Context& context, const EmbeddingForward& p) {
  const WeightView& table = *p.table;
  if (table.col_stride != 1 || table.dtype == DType::f16) return embedding_forward_cpu(context, p);
  const KernelTable& kernels = kernel_table(context);
  const std::int64_t width = table.cols;
  context.threads->parallel_for(p.tokens, row_grain(width), [&](auto begin, auto end) {
    for (std::int64_t t = begin; t < end; ++t) {
      float* y = p.y + t * width;
      const std::int64_t at = table.offset(p.indices[t], 0);
      if (table.dtype == DType::f32) {
        kernels.combine(p.scale, static_cast<const float*>(table.data) + at,
                        p.add_to_y ? 1.0f : 0.0f, y, width);
      } else if (!p.add_to_y) {
        kernels.expand_bf16(static_cast<const std::uint16_t*>(table.data) + at, width, y);
        if (p.scale != 1.0f) kernels.combine(p.scale, y, 0.0f, y, width);
      } else {
        const auto* bits = static_cast<const std::uint16_t*>(table.data) + at;
        for (std::int64_t i = 0; i < width; ++i) y[i] += p.scale * bf16_to_f32(bits[i]);
      }
    }
  });
}

}  // namespace headspark
