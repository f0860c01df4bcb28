// linear on the GPU by products on tensor cores (cuda/gemm.h). Formulas: linear_cpu.cc. The
// low-rank term is added after the product, in the same precision.
#include <algorithm>
#include <functional>
#include <vector>

#include "cuda/layer_product.h"
#include "cuda/low_rank.h"
#include "cuda/term_gemm.h"
#include "ops/backends.h"
#include "ops/linear_range.h"

namespace headspark {
namespace cuda {
namespace {

// Of decode steps and short prompts: three tiles of a product's rows.
constexpr std::int64_t kFewRows = 384;

/// The part of a layer's matrix that a slice names; by depth for d_y W.
GemmOperand operand(const DeviceTerms& weight, const LinearRange& range, bool by_depth) {
  GemmOperand part = whole_operand(weight, by_depth);
  part.data += range.out_begin * weight.cols + range.in_begin;
  return part;
}

/// Rows as terms, which the product and those of a low-rank term read, where they do.
void share_rows(OpDevice& device, Precision precision, Gemm& g) {
  if (suits_terms(g.b)) g.a = {.terms = rows_as_terms(device, precision, g)};
}

}  // namespace

int terms_for(const Context& context, std::span<const LinearWeight* const> layers) {
  const Precision precision = context.precision;
  if (precision == Precision::fast) return term_count(precision);
  OpDevice& device = op_device(context);
  for (const LinearWeight* layer : layers) {
    if (layer == nullptr) continue;
    if (!suits_terms(whole_operand(device.terms(*layer, precision), false))) return 0;
  }
  return term_count(precision);
}

void layer_forward(const Context& context, const LinearForward& p, const GemmRows& x, float* plain,
                   std::uint16_t* narrow) {
  OpDevice& device = op_device(context);
  const Precision precision = context.precision;
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_forward");
  const bool biased = p.with_bias && !p.weight->bias.empty();
  const bool low_rank = low_rank_of(*p.weight) != nullptr;
  Gemm product{.rows = p.tokens,
               .columns = range.out(),
               .depth = range.in(),
               .a = x,
               .b = operand(device.terms(*p.weight, precision), range, false),
               .c = p.y,
               .c_stride = p.y_stride,
               .bias = biased ? device.constant_floats(p.weight->bias) + range.out_begin : nullptr,
               .initial = p.residual,
               .plain = plain,
               .narrow = narrow,
               .decoding = context.decoding};
  if (low_rank) share_rows(device, precision, product);
  gemm(device, precision, product);
  if (!low_rank) return;
  // y += scale (x Aᵀ) Bᵀ
  add_low_rank(device, precision, *p.weight, range,
               {p.tokens, product.a, false, p.y, p.y_stride, context.decoding});
}

void layers_forward(const Context& context, std::span<const LayerOutput> layers,
                    const GemmRows& x) {
  const auto forward = [&](const LayerOutput& layer) {
    layer_forward(context, layer.params, x, nullptr, layer.narrow);
  };
  const bool few = std::all_of(layers.begin(), layers.end(), [](const LayerOutput& layer) {
    return layer.params.tokens <= kFewRows;
  });
  if (!few) {
    std::for_each(layers.begin(), layers.end(), forward);
    return;
  }
  OpDevice& device = op_device(context);
  std::vector<std::function<void()>> works;
  for (const LayerOutput& layer : layers) {
    // On the device before: what is done side by side copies nothing.
    device.terms(*layer.params.weight, context.precision);
    upload_low_rank(device, context.precision, *layer.params.weight);
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
  const bool low_rank = low_rank_of(*p.weight) != nullptr;
  // forward: y = x Wᵀ
  Gemm product{.rows = p.tokens,
               .columns = range.in(),
               .depth = range.out(),
               .a = d_y,
               .b = operand(device.terms(*p.weight, precision), range, true),
               .c = p.d_x,
               .c_stride = p.d_x_stride,
               .initial = p.mode == GradientMode::accumulate ? p.d_x : nullptr,
               .narrow = narrow};
  if (low_rank) share_rows(device, precision, product);
  gemm(device, precision, product);
  if (!low_rank) return;
  // d_x += scale (d_y B) A
  add_low_rank(device, precision, *p.weight, range,
               {p.tokens, product.a, true, p.d_x, p.d_x_stride});
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
