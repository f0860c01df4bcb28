// linear on the GPU by products on tensor cores (cuda/gemm.h). Formulas: linear_cpu.cc. The
// low-rank term runs after the product, in the same precision.
#include <algorithm>
#include <functional>
#include <vector>

#include "cuda/layer_product.h"
#include "cuda/term_gemm.h"
#include "ops/backends.h"
#include "ops/linear_range.h"

namespace headspark {
namespace cuda {
namespace {

// Of decode steps and short prompts: three tiles of a product's rows.
constexpr std::int64_t kFewRows = 384;

/// The part of a layer's matrix that a slice names; by depth for d_y W.
GemmOperand operand(const DeviceMatrix& matrix, const LinearRange& range, bool by_depth) {
  const std::int64_t first = range.out_begin * matrix.cols + range.in_begin;
  return {static_cast<const char*>(matrix.data) + first * dtype_bytes(matrix.dtype), matrix.dtype,
          matrix.cols, by_depth};
}

/// A term's matrices: a is [rank, in], b [out, rank], both of the layer's slice.
struct LowRankOperands {
  std::int64_t rank;
  float scale;
  GemmOperand a;
  GemmOperand b;
};

LowRankOperands low_rank_operands(OpDevice& device, const LinearWeight& weight,
                                  const LinearRange& range, bool by_depth) {
  const LowRank& low = *weight.low_rank;
  // It never changes, so that it is copied once; compared at every use it would take longer than
  // its products.
  const float* a = device.table_floats(low.a.data(), low.rank, weight.in(), weight.low_rank);
  const float* b = device.table_floats(low.b.data(), weight.out(), low.rank, weight.low_rank);
  return {low.rank,
          low.scale,
          {a + range.in_begin, DType::f32, weight.in(), by_depth},
          {b + range.out_begin * low.rank, DType::f32, low.rank, by_depth}};
}

/// c += scale (rows first) second, by way of [rows, rank].
struct LowRankChain {
  std::int64_t rows;
  std::int64_t depth;
  GemmRows a;
  GemmOperand first;
  GemmOperand second;
  std::int64_t columns;
  float* c;
  std::int64_t c_stride;
};

void add_low_rank(OpDevice& device, Precision precision, const LowRankOperands& low,
                  const LowRankChain& chain) {
  float* inner = device.scratch_floats(ScratchSlot::low_rank, chain.rows * low.rank);
  gemm(device, precision,
       {.rows = chain.rows,
        .columns = low.rank,
        .depth = chain.depth,
        .a = chain.a,
        .b = chain.first,
        .c = inner,
        .c_stride = low.rank});
  gemm(device, precision,
       {.rows = chain.rows,
        .columns = chain.columns,
        .depth = low.rank,
        .a = {inner, low.rank},
        .b = chain.second,
        .scale = low.scale,
        .c = chain.c,
        .c_stride = chain.c_stride,
        .initial = chain.c});
}

}  // namespace

int terms_for(const Context& context, std::span<const LinearWeight* const> layers) {
  const Precision precision = context.precision;
  if (precision == Precision::fast) return term_count(precision);
  OpDevice& device = op_device(context);
  for (const LinearWeight* layer : layers) {
    if (layer == nullptr) continue;
    const DeviceMatrix matrix = device.matrix(*layer, precision);
    if (!suits_terms({matrix.data, matrix.dtype, matrix.cols})) return 0;
  }
  return term_count(precision);
}

void layer_forward(const Context& context, const LinearForward& p, const GemmRows& x, float* plain,
                   std::uint16_t* narrow) {
  OpDevice& device = op_device(context);
  const Precision precision = context.precision;
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_forward");
  const bool biased = p.with_bias && !p.weight->bias.empty();
  gemm(device, precision,
       {.rows = p.tokens,
        .columns = range.out(),
        .depth = range.in(),
        .a = x,
        .b = operand(device.matrix(*p.weight, precision), range, false),
        .c = p.y,
        .c_stride = p.y_stride,
        .bias = biased ? device.constant_floats(p.weight->bias) + range.out_begin : nullptr,
        .initial = p.residual,
        .plain = plain,
        .narrow = narrow,
        .decoding = context.decoding});
  if (low_rank_of(*p.weight) == nullptr) return;
  // y += scale (x Aᵀ) Bᵀ
  const LowRankOperands low = low_rank_operands(device, *p.weight, range, false);
  add_low_rank(device, precision, low,
               {p.tokens, range.in(), x, low.a, low.b, range.out(), p.y, p.y_stride});
}

void layers_forward(const Context& context, std::span<const LayerOutput> layers,
                    const GemmRows& x) {
  const auto forward = [&](const LayerOutput& layer) {
    layer_forward(context, layer.params, x, nullptr, layer.narrow);
  };
  const bool few = std::all_of(layers.begin(), layers.end(), [](const LayerOutput& layer) {
    return layer.params.tokens <= kFewRows && low_rank_of(*layer.params.weight) == nullptr;
  });
  if (!few) {
    std::for_each(layers.begin(), layers.end(), forward);
    return;
  }
  OpDevice& device = op_device(context);
  std::vector<std::function<void()>> works;
  for (const LayerOutput& layer : layers) {
    // On the device before: what is done side by side copies nothing.
    device.matrix(*layer.params.weight, context.precision);
    device.constant_floats(layer.params.weight->bias);
    works.emplace_back([&] { forward(layer); });
  }
  device.side_by_side(works);
}

void layer_backward(const Context& context, const LinearBackward& p, const GemmRows& d_y,
                    std::uint16_t* narrow) {
  OpDevice& device = op_device(context);
  const Precision precision = context.precision;
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_backward");
  // forward: y = x Wᵀ
  gemm(device, precision,
       {.rows = p.tokens,
        .columns = range.in(),
        .depth = range.out(),
        .a = d_y,
        .b = operand(device.matrix(*p.weight, precision), range, true),
        .c = p.d_x,
        .c_stride = p.d_x_stride,
        .initial = p.mode == GradientMode::accumulate ? p.d_x : nullptr,
        .narrow = narrow});
  if (low_rank_of(*p.weight) == nullptr) return;
  // d_x += scale (d_y B) A
  const LowRankOperands low = low_rank_operands(device, *p.weight, range, true);
  add_low_rank(device, precision, low,
               {p.tokens, range.out(), d_y, low.b, low.a, range.in(), p.d_x, p.d_x_stride});
}

}  // namespace cuda

void linear_forward_cuda(const Context& context, const LinearForward& p) {
  const cuda::GemmRows x{p.x, p.x_stride};
  if (p.type == DType::f32) return cuda::layer_forward(context, p, x);
  if (low_rank_of(*p.weight) == nullptr) {
    auto* const narrow = reinterpret_cast<std::uint16_t*>(p.y);
    return cuda::layer_forward(context, p, x, nullptr, narrow);
  }
  LinearForward whole = p;
  const std::int64_t count = p.tokens * p.y_stride;
  whole.y = cuda::op_device(context).scratch_floats(cuda::ScratchSlot::unrounded_rows, count);
  cuda::layer_forward(context, whole, x);
  combine_cuda(context, {.count = count, .x = whole.y, .b = 0.0f, .y = p.y, .type = p.type});
}

void linear_backward_cuda(const Context& context, const LinearBackward& p) {
  cuda::layer_backward(context, p, {p.d_y, p.d_y_stride});
}

}  // namespace headspark
