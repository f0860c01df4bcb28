// What projections send back, on the GPU: per head one product over all copies, then the norm's
// backward summed over copies, in order. Formula: head_input_cpu.cc.
#include "cuda/norm_rows.h"
#include "ops/backends.h"
#include "ops/head_gradient.h"

namespace headspark {
namespace {

using namespace cuda;

struct CopiesKernel {
  NormConstants norm;
  std::int64_t copies;
  std::int64_t tokens;
  const float* x;         // [copies, tokens, width]
  const float* d_normed;  // [copies, tokens, width]
  float* y;               // [tokens, width]
};

template <bool Wide>
HEADSPARK_KERNEL(kNormThreads)
copies_kernel(CopiesKernel p) {
  const RowTeam<Wide> team = row_team<Wide>();
  const std::int64_t token = team.row();
  if (token >= p.tokens) return;
  for (std::int64_t copy = 0; copy < p.copies; ++copy) {
    const std::int64_t at = (copy * p.tokens + token) * p.norm.width;
    norm_backward_row(p.norm, team,
                      {p.x + at, p.d_normed + at, p.y + token * p.norm.width, copy > 0});
  }
}

void sum_copies(const Context& context, const HeadInputBackward& p,
                const HeadInputBackward::Projection& projection) {
  OpDevice& device = op_device(context);
  const std::int64_t in = p.in();
  const std::int64_t rows = p.copies * p.tokens;
  float* d_normed = device.scratch_floats(ScratchSlot::head_input, rows * in);
  const NormConstants norm = norm_constants(device, *p.norm);
  for (std::int64_t head = 0; head < projection.heads; ++head) {
    linear_backward_cuda(context, head_gradient(p, projection, head, rows, projection.d, d_normed));
    launch(device.stream(), norm_shape(in, p.tokens),
           in > kWarpWidth ? &copies_kernel<true> : &copies_kernel<false>,
           CopiesKernel{norm, p.copies, p.tokens, p.x, d_normed,
                        projection.y + head * projection.y_stride});
  }
}

}  // namespace

void head_input_backward_cuda(const Context& context, const HeadInputBackward& p) {
  for (const HeadInputBackward::Projection& projection : p.projections) {
    if (p.copies > 0) {
      sum_copies(context, p, projection);
      continue;
    }
    for (std::int64_t head = 0; head < projection.heads; ++head) {
      zero(op_device(context).stream(), projection.y + head * projection.y_stride,
           p.tokens * p.in() * 4);
    }
  }
}

}  // namespace headspark
