// RMSNorm and LayerNorm on the GPU: a block per row, or a warp where rows are short. The moments
// are fp32 sums in a fixed tree over the row, so that a row's bits depend on nothing else.
#include "cuda/norm_products.h"
#include "cuda/norm_rows.h"
#include "cuda/term_elements.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

struct ForwardKernel {
  NormConstants norm;
  std::int64_t rows;
  const float* x;
  std::int64_t x_stride;
  float* y;
  std::int64_t y_stride;
};

template <bool Wide>
HEADSPARK_KERNEL(kNormThreads)
forward_kernel(ForwardKernel p) {
  const RowTeam<Wide> team = row_team<Wide>();
  const std::int64_t row = team.row();
  if (row >= p.rows) return;
  const float* x = p.x + row * p.x_stride;
  const Moments m = moments(p.norm, team, x);
  for_own_elements(
      team, p.norm.width, [&](std::int64_t i) { return normed_value(p.norm, m, x, i); },
      [&](std::int64_t i, float value) { p.y[row * p.y_stride + i] = value; });
}

struct TermsKernel {
  NormConstants norm;
  const float* x;
  std::int64_t x_stride;
  TermRows y;
};

template <bool Wide, int Terms>
HEADSPARK_KERNEL(kNormThreads)
terms_kernel(TermsKernel p) {
  const RowTeam<Wide> team = row_team<Wide>();
  const std::int64_t row = team.row();
  if (row >= p.y.rows) return;
  const float* x = p.x + row * p.x_stride;
  const Moments m = moments(p.norm, team, x);
  const auto element = [&](std::int64_t i) {
    return i < p.norm.width ? normed_value(p.norm, m, x, i) : 0.0f;
  };
  for_own_elements(
      team, p.y.stride / 2,
      [&](std::int64_t pair) {
        return Two{element(2 * pair), element(2 * pair + 1)};
      },
      [&](std::int64_t pair, const Two& two) {
        store_pair<Terms>(p.y, {row, 2 * pair}, two.x, two.y);
      });
}

template <bool Wide>
auto terms_kernel_of(int terms) {
  return terms == 1 ? &terms_kernel<Wide, 1> : &terms_kernel<Wide, 3>;
}

struct BackwardKernel {
  NormConstants norm;
  std::int64_t rows;
  const float* x;
  std::int64_t x_stride;
  const float* d_y;
  std::int64_t d_y_stride;
  float* d_x;
  std::int64_t d_x_stride;
  bool accumulate;
  float* sum;
};

template <bool Wide>
HEADSPARK_KERNEL(kNormThreads)
backward_kernel(BackwardKernel p) {
  const RowTeam<Wide> team = row_team<Wide>();
  const std::int64_t row = team.row();
  if (row >= p.rows) return;
  norm_backward_row(p.norm, team,
                    {p.x + row * p.x_stride, p.d_y + row * p.d_y_stride, p.d_x + row * p.d_x_stride,
                     p.accumulate, p.sum != nullptr ? p.sum + row * p.d_x_stride : nullptr});
}

void backward(OpDevice& device, const NormBackward& p, float* sum) {
  const NormConstants norm = norm_constants(device, *p.norm);
  launch(device.stream(), norm_shape(norm.width, p.rows),
         norm.width > kWarpWidth ? &backward_kernel<true> : &backward_kernel<false>,
         BackwardKernel{norm, p.rows, p.x, p.x_stride, p.d_y, p.d_y_stride, p.d_x, p.d_x_stride,
                        p.mode == GradientMode::accumulate, sum});
}

struct ScaleKernel {
  NormConstants norm;
  std::int64_t rows;
  const float* x;
  const float* z;
  std::int64_t parts_width;
  float* y;
};

template <bool Wide>
HEADSPARK_KERNEL(kNormThreads)
scale_kernel(ScaleKernel p) {
  const RowTeam<Wide> team = row_team<Wide>();
  const std::int64_t row = team.row();
  if (row >= p.rows) return;
  const Moments m = moments(p.norm, team, p.x + row * p.norm.width);
  const float* const z = p.z + row * p.parts_width;
  float* const y = p.y + row * p.parts_width;
  for_own_elements(
      team, p.parts_width, [&](std::int64_t i) { return z[i]; },
      [&](std::int64_t i, float value) { y[i] = value * m.rstd; });
}

}  // namespace

namespace cuda {

GemmRows norm_forward_rows(const Context& context, const NormForward& p, int terms) {
  if (terms == 0) {
    norm_forward_cuda(context, p);
    return {p.y, p.y_stride};
  }
  OpDevice& device = op_device(context);
  const TermRows y =
      term_rows(device, terms, p.rows, static_cast<std::int64_t>(p.norm->weight.size()));
  const NormConstants norm = norm_constants(device, *p.norm);
  const bool wide = norm.width > kWarpWidth;
  launch(device.stream(), norm_shape(norm.width, p.rows),
         wide ? terms_kernel_of<true>(y.terms) : terms_kernel_of<false>(y.terms),
         TermsKernel{norm, p.x, p.x_stride, y});
  return {.terms = y};
}

void norm_backward_with_sum(OpDevice& device, const NormBackward& p, float* sum) {
  backward(device, p, sum);
}

}  // namespace cuda

void norm_forward_cuda(const Context& context, const NormForward& p) {
  OpDevice& device = op_device(context);
  const NormConstants norm = norm_constants(device, *p.norm);
  launch(device.stream(), norm_shape(norm.width, p.rows),
         norm.width > kWarpWidth ? &forward_kernel<true> : &forward_kernel<false>,
         ForwardKernel{norm, p.rows, p.x, p.x_stride, p.y, p.y_stride});
}

void norm_backward_cuda(const Context& context, const NormBackward& p) {
  backward(op_device(context), p, nullptr);
}

void norm_scale_cuda(const Context& context, const NormScale& p) {
  OpDevice& device = op_device(context);
  const NormConstants norm = norm_constants(device, *p.norm);
  launch(device.stream(), norm_shape(norm.width, p.rows),
         norm.width > kWarpWidth ? &scale_kernel<true> : &scale_kernel<false>,
         ScaleKernel{norm, p.rows, p.x, p.z, p.parts_width, p.y});
}

}  // namespace headspark
