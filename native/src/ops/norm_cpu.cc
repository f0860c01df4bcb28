// Specification of RMSNorm (arXiv 1910.07467) and LayerNorm (arXiv 1607.06450):
//   y = (x - mean) rstd w + b, rstd = 1 / sqrt(var + eps); RMSNorm has mean = 0 and var = mean(x²).
// With g = d_y w and n = (x - mean) rstd:  d_x = rstd (g - mean(g) - n mean(g n)); RMSNorm drops
// the mean(g) term. A fixed norm has mean 0 and rstd 1, which do not depend on x: d_x = g. Moments
// in double, in order.
#include <cmath>

#include "ops/backends.h"

namespace headspark {
namespace {

struct Moments {
  double mean = 0.0;
  double rstd = 0.0;
};

Moments moments(const NormWeight& norm, const float* x) {
  const std::size_t width = norm.weight.size();
  Moments m;
  if (norm.kind == NormKind::fixed) return {.mean = 0.0, .rstd = 1.0};
  if (norm.kind == NormKind::layer) {
    for (std::size_t i = 0; i < width; ++i) m.mean += x[i];
    m.mean /= static_cast<double>(width);
  }
  double square = 0.0;
  for (std::size_t i = 0; i < width; ++i) square += (x[i] - m.mean) * (x[i] - m.mean);
  m.rstd = 1.0 / std::sqrt(square / static_cast<double>(width) + norm.epsilon);
  return m;
}

void forward_row(const NormWeight& norm, const float* x, float* y) {
  const Moments m = moments(norm, x);
  for (std::size_t i = 0; i < norm.weight.size(); ++i) {
    const double bias = norm.bias.empty() ? 0.0 : norm.bias[i];
    y[i] = static_cast<float>((x[i] - m.mean) * m.rstd * norm.weight[i] + bias);
  }
}

struct BackwardRow {
  const float* x = nullptr;
  const float* d_y = nullptr;
  float* d_x = nullptr;
};

void backward_row(const NormWeight& norm, const BackwardRow& row, GradientMode mode) {
  const std::size_t width = norm.weight.size();
  const Moments m = moments(norm, row.x);
  double mean_g = 0.0;
  double mean_gn = 0.0;
  for (std::size_t i = 0; i < width; ++i) {
    const double g = static_cast<double>(row.d_y[i]) * norm.weight[i];
    mean_g += g;
    mean_gn += g * (row.x[i] - m.mean) * m.rstd;
  }
  mean_g = norm.kind == NormKind::layer ? mean_g / static_cast<double>(width) : 0.0;
  mean_gn = norm.kind == NormKind::fixed ? 0.0 : mean_gn / static_cast<double>(width);
  for (std::size_t i = 0; i < width; ++i) {
    // forward: y = n w + b, n = (x - mean) rstd
    const double n = (row.x[i] - m.mean) * m.rstd;
    const double g = static_cast<double>(row.d_y[i]) * norm.weight[i];
    const double d_x = m.rstd * (g - mean_g - n * mean_gn);
    row.d_x[i] = static_cast<float>(mode == GradientMode::accumulate ? row.d_x[i] + d_x : d_x);
  }
}

}  // namespace

void norm_forward_cpu(const Context& context, const NormForward& p) {
  context.threads->parallel_for(p.rows, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      forward_row(*p.norm, p.x + r * p.x_stride, p.y + r * p.y_stride);
    }
  });
}

void norm_backward_cpu(const Context& context, const NormBackward& p) {
  context.threads->parallel_for(p.rows, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const BackwardRow row{p.x + r * p.x_stride, p.d_y + r * p.d_y_stride,
                            p.d_x + r * p.d_x_stride};
      backward_row(*p.norm, row, p.mode);
    }
  });
}

void norm_scale_cpu(const Context& context, const NormScale& p) {
  const auto width = static_cast<std::int64_t>(p.norm->weight.size());
  context.threads->parallel_for(p.rows, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const double rstd = moments(*p.norm, p.x + r * width).rstd;
      for (std::int64_t i = r * p.parts_width; i < (r + 1) * p.parts_width; ++i) {
        p.y[i] = static_cast<float>(p.z[i] * rstd);
      }
    }
  });
}

}  // namespace headspark
