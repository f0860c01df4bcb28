// linear on the GPU by the own product on tensor cores (cuda/gemm.h). Formulas: linear_cpu.cc. The
// low-rank term runs after the product, in the same precision.
#include "cuda/gemm.h"
#include "ops/backends.h"
#include "ops/linear_range.h"

namespace headspark {
namespace {

using namespace cuda;

const void* element(const DeviceMatrix& matrix, std::int64_t index) {
  return static_cast<const char*>(matrix.data) + index * dtype_bytes(matrix.dtype);
}

// y += scale (x Aᵀ) Bᵀ
void add_low_rank_forward(OpDevice& device, Precision precision, const LinearForward& p,
                          const LinearRange& range) {
  const LowRank& low = *p.weight->low_rank;
  float* inner = device.scratch_floats(ScratchSlot::low_rank, p.tokens * low.rank);
  Gemm down;
  down.rows = p.tokens;
  down.columns = low.rank;
  down.depth = range.in();
  down.a = p.x;
  down.a_stride = p.x_stride;
  down.b = {device.constant_floats(low.a) + range.in_begin, DType::f32, p.weight->in()};
  down.c = inner;
  down.c_stride = low.rank;
  gemm(device, precision, down);
  Gemm up;
  up.rows = p.tokens;
  up.columns = range.out();
  up.depth = low.rank;
  up.a = inner;
  up.a_stride = low.rank;
  up.b = {device.constant_floats(low.b) + range.out_begin * low.rank, DType::f32, low.rank};
  up.scale = low.scale;
  up.c = p.y;
  up.c_stride = p.y_stride;
  up.initial = p.y;
  gemm(device, precision, up);
}

// d_x += scale (d_y B) A
void add_low_rank_backward(OpDevice& device, Precision precision, const LinearBackward& p,
                           const LinearRange& range) {
  const LowRank& low = *p.weight->low_rank;
  float* d_inner = device.scratch_floats(ScratchSlot::low_rank, p.tokens * low.rank);
  Gemm up;
  up.rows = p.tokens;
  up.columns = low.rank;
  up.depth = range.out();
  up.a = p.d_y;
  up.a_stride = p.d_y_stride;
  up.b = {device.constant_floats(low.b) + range.out_begin * low.rank, DType::f32, low.rank, true};
  up.c = d_inner;
  up.c_stride = low.rank;
  gemm(device, precision, up);
  Gemm down;
  down.rows = p.tokens;
  down.columns = range.in();
  down.depth = low.rank;
  down.a = d_inner;
  down.a_stride = low.rank;
  down.b = {device.constant_floats(low.a) + range.in_begin, DType::f32, p.weight->in(), true};
  down.scale = low.scale;
  down.c = p.d_x;
  down.c_stride = p.d_x_stride;
  down.initial = p.d_x;
  gemm(device, precision, down);
}

bool has_low_rank(const LinearWeight& weight) {
  return weight.low_rank != nullptr && weight.low_rank->rank > 0;
}

}  // namespace

void linear_forward_cuda(const Context& context, const LinearForward& p) {
  OpDevice& device = op_device(context);
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_forward");
  const DeviceMatrix matrix = device.matrix(*p.weight);
  Gemm product;
  product.rows = p.tokens;
  product.columns = range.out();
  product.depth = range.in();
  product.a = p.x;
  product.a_stride = p.x_stride;
  product.b = {element(matrix, range.out_begin * matrix.cols + range.in_begin), matrix.dtype,
               matrix.cols};
  product.c = p.y;
  product.c_stride = p.y_stride;
  if (p.with_bias && !p.weight->bias.empty()) {
    product.bias = device.constant_floats(p.weight->bias) + range.out_begin;
  }
  product.initial = p.residual;
  gemm(device, context.precision, product);
  if (has_low_rank(*p.weight)) add_low_rank_forward(device, context.precision, p, range);
}

void linear_backward_cuda(const Context& context, const LinearBackward& p) {
  OpDevice& device = op_device(context);
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_backward");
  const DeviceMatrix matrix = device.matrix(*p.weight);
  // forward: y = x Wᵀ
  Gemm product;
  product.rows = p.tokens;
  product.columns = range.in();
  product.depth = range.out();
  product.a = p.d_y;
  product.a_stride = p.d_y_stride;
  product.b = {element(matrix, range.out_begin * matrix.cols + range.in_begin), matrix.dtype,
               matrix.cols, true};
  product.c = p.d_x;
  product.c_stride = p.d_x_stride;
  if (p.mode == GradientMode::accumulate) product.initial = p.d_x;
  gemm(device, context.precision, product);
  if (has_low_rank(*p.weight)) add_low_rank_backward(device, context.precision, p, range);
}

}  // namespace headspark
