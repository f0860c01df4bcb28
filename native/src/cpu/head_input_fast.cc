// head_input_backward with one projection for all copies. Per copy c, with n = (x - mean) rstd and
// h = w (d W):
//   d_x = rstd (h - mean(h) - n mean(h n))            (RMSNorm: without mean(h), and mean = 0)
// The first part is linear in rstd d, so d is summed over copies before it meets W. In the last,
// width * mean(h n) = d · W (w n) = d · (projected - offset), offset = W b_norm + b: a scalar per
// head, so no copy's d W is ever formed.
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/kernel_table.h"
#include "cpu/scratch.h"

namespace headspark {
namespace {

/// Sums over copies, per token: `d` [heads * head_dim] of rstd d, and per head the multiples of
/// each copy's x [copies] and a constant that the pulled-back sum lacks.
struct Sums {
  float* d = nullptr;
  float* multiples = nullptr;
  float* constants = nullptr;
};

/// W b_norm + b: what the projection gives where n is zero.
std::vector<float> projection_offset(const Context& context, const HeadInputBackward& p) {
  std::vector<float> offset(static_cast<std::size_t>(p.weight->out()), 0.0f);
  if (p.norm->bias.empty()) {
    if (!p.weight->bias.empty()) offset = p.weight->bias;
    return offset;
  }
  LinearForward forward;
  forward.weight = p.weight;
  forward.tokens = 1;
  forward.x = p.norm->bias.data();
  forward.x_stride = p.weight->in();
  forward.y = offset.data();
  forward.y_stride = p.weight->out();
  linear_forward_fast(context, std::span<const LinearForward>(&forward, 1));
  return offset;
}

NormRow norm_row(const HeadInputBackward& p, const float* x) {
  NormRow row;
  row.x = x;
  row.width = p.weight->in();
  row.epsilon = p.norm->epsilon;
  row.centered = p.norm->kind == NormKind::layer;
  return row;
}

void sum_token(const KernelTable& kernels, const HeadInputBackward& p,
               const std::vector<float>& offset, std::int64_t token, const Sums& sums) {
  const std::int64_t width = p.heads * p.head_dim;
  const float per_width = 1.0f / static_cast<float>(p.weight->in());
  float* d_sum = sums.d + token * width;
  for (std::int64_t copy = 0; copy < p.copies; ++copy) {
    const std::int64_t row = copy * p.tokens + token;
    float mean = 0.0f;
    float rstd = 0.0f;
    kernels.norm_moments(norm_row(p, p.x + row * p.weight->in()), &mean, &rstd);
    const float* d = p.d + row * width;
    kernels.combine(rstd, d, copy == 0 ? 0.0f : 1.0f, d_sum, width);
    for (std::int64_t head = 0; head < p.heads; ++head) {
      const std::int64_t out = head / p.share * p.head_dim;
      const float* d_head = d + head * p.head_dim;
      const float product =
          kernels.dot(d_head, p.projected + row * p.weight->out() + out, p.head_dim) -
          kernels.dot(d_head, offset.data() + out, p.head_dim);
      // rstd n mean(h n) = multiple (x - mean)
      const float multiple = rstd * rstd * product * per_width;
      const std::int64_t at = token * p.heads + head;
      sums.multiples[at * p.copies + copy] = multiple;
      sums.constants[at] = (copy == 0 ? 0.0f : sums.constants[at]) + multiple * mean;
    }
  }
}

void project(const Context& context, const HeadInputBackward& p, const float* d_sum) {
  for (std::int64_t head = 0; head < p.heads; ++head) {
    LinearBackward linear;
    linear.weight = p.weight;
    linear.slice.out_begin = head / p.share * p.head_dim;
    linear.slice.out_end = linear.slice.out_begin + p.head_dim;
    linear.tokens = p.tokens;
    linear.d_y = d_sum + head * p.head_dim;
    linear.d_y_stride = p.heads * p.head_dim;
    linear.d_x = p.y + head * p.y_stride;
    linear.d_x_stride = p.weight->in();
    linear_backward_fast(context, linear);
  }
}

}  // namespace

void head_input_backward_fast(const Context& context, const HeadInputBackward& p) {
  const KernelTable& kernels = kernel_table(context);
  const std::vector<float> offset = projection_offset(context, p);
  const std::int64_t in = p.weight->in();
  const std::int64_t rows = p.tokens * p.heads;
  const Sums sums{scratch(ScratchSlot::head_sums, rows * p.head_dim),
                  scratch(ScratchSlot::head_multiples, rows * p.copies),
                  scratch(ScratchSlot::head_constants, rows)};
  if (p.copies == 0) {
    for (std::int64_t i = 0; i < rows * p.head_dim; ++i) sums.d[i] = 0.0f;
    for (std::int64_t i = 0; i < rows; ++i) sums.constants[i] = 0.0f;
  }
  context.threads->parallel_for(p.tokens, 4, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) sum_token(kernels, p, offset, t, sums);
  });
  project(context, p, sums.d);
  context.threads->parallel_for(p.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; ++t) {  // all heads of a token: its x stays in L1
      for (std::int64_t head = 0; head < p.heads; ++head) {
        PullBack pull;
        pull.y = p.y + head * p.y_stride + t * in;
        pull.weight = p.norm->weight.data();
        pull.x = p.x + t * in;
        pull.x_stride = p.tokens * in;
        pull.multiples = sums.multiples + (t * p.heads + head) * p.copies;
        pull.copies = p.copies;
        pull.constant = sums.constants[t * p.heads + head];
        pull.centered = p.norm->kind == NormKind::layer;
        pull.width = in;
        kernels.pull_back(pull);
      }
    }
  });
}

}  // namespace headspark
