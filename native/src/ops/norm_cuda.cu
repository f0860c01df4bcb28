// RMSNorm and LayerNorm on the GPU: a block per row, or a warp where rows are short. The moments
// are fp32 sums in a fixed tree over the row, so that a row's bits depend on nothing else.
#include "cuda/norm_rows.h"
#include "cuda/op_device.h"
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
  for (std::int64_t i = team.first(); i < p.norm.width; i += team.step()) {
    const float bias = p.norm.bias != nullptr ? p.norm.bias[i] : 0.0f;
    p.y[row * p.y_stride + i] = multiply_add((x[i] - m.mean) * m.rstd, p.norm.weight[i], bias);
  }
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
};

template <bool Wide>
HEADSPARK_KERNEL(kNormThreads)
backward_kernel(BackwardKernel p) {
  const RowTeam<Wide> team = row_team<Wide>();
  const std::int64_t row = team.row();
  if (row >= p.rows) return;
  norm_backward_row(p.norm, team,
                    {p.x + row * p.x_stride, p.d_y + row * p.d_y_stride, p.d_x + row * p.d_x_stride,
                     p.accumulate});
}

NormConstants constants(OpDevice& device, const NormWeight& norm) {
  return {norm.kind, device.constant_floats(norm.weight), device.constant_floats(norm.bias),
          norm.epsilon, static_cast<std::int64_t>(norm.weight.size())};
}

}  // namespace

void norm_forward_cuda(const Context& context, const NormForward& p) {
  OpDevice& device = op_device(context);
  const NormConstants norm = constants(device, *p.norm);
  launch(device.stream(), norm_shape(norm.width, p.rows),
         norm.width > kWarpWidth ? &forward_kernel<true> : &forward_kernel<false>,
         ForwardKernel{norm, p.rows, p.x, p.x_stride, p.y, p.y_stride});
}

void norm_backward_cuda(const Context& context, const NormBackward& p) {
  OpDevice& device = op_device(context);
  const NormConstants norm = constants(device, *p.norm);
  launch(device.stream(), norm_shape(norm.width, p.rows),
         norm.width > kWarpWidth ? &backward_kernel<true> : &backward_kernel<false>,
         BackwardKernel{norm, p.rows, p.x, p.x_stride, p.d_y, p.d_y_stride, p.d_x, p.d_x_stride,
                        p.mode == GradientMode::accumulate});
}

}  // namespace headspark
