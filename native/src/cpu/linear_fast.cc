// linear over packed weights: y = x Wᵀ + b + scale (x Aᵀ) Bᵀ and d_x = d_y W + scale (d_y B) A.
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/gemm.h"
#include "ops/linear_range.h"

namespace headspark {

namespace {

Gemm product_of(const Context& context, const LinearForward& p) {
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_forward");
  const auto operand = [&](PackedWeights& weights, std::int64_t column, std::int64_t depth) {
    return GemmOperand{&weights.forward(*context.threads, kernel_table(context).gemm), column,
                       depth};
  };
  Gemm product;
  product.rows = p.tokens;
  product.columns = range.out();
  product.depth = range.in();
  product.a = p.x;
  product.a_stride = p.x_stride;
  product.b = operand(*p.weight->packed, range.out_begin, range.in_begin);
  product.c = p.y;
  product.c_stride = p.y_stride;
  product.initial = p.residual;
  if (p.with_bias && !p.weight->bias.empty()) {
    product.bias = p.weight->bias.data() + range.out_begin;
  }
  if (const LowRank* low = low_rank_of(*p.weight)) {
    product.low_rank.rank = low->rank;
    product.low_rank.scale = low->scale;
    product.low_rank.down = operand(*low->packed_a, 0, range.in_begin);
    product.low_rank.up = operand(*low->packed_b, range.out_begin, 0);
  }
  return product;
}

}  // namespace

void linear_forward_fast(const Context& context, std::span<const LinearForward> layers) {
  std::vector<Gemm> products;
  products.reserve(layers.size());
  for (const LinearForward& layer : layers) products.push_back(product_of(context, layer));
  gemm(context, products);
}

void linear_backward_fast(const Context& context, const LinearBackward& p) {
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_backward");
  const auto operand = [&](PackedWeights& weights, std::int64_t column, std::int64_t depth) {
    return GemmOperand{&weights.transposed(*context.threads, kernel_table(context).gemm), column,
                       depth};
  };
  Gemm product;
  product.rows = p.tokens;
  product.columns = range.in();
  product.depth = range.out();
  product.a = p.d_y;
  product.a_stride = p.d_y_stride;
  product.b = operand(*p.weight->packed, range.in_begin, range.out_begin);
  product.c = p.d_x;
  product.c_stride = p.d_x_stride;
  if (p.mode == GradientMode::accumulate) product.initial = p.d_x;
  if (const LowRank* low = low_rank_of(*p.weight)) {
    product.low_rank.rank = low->rank;
    product.low_rank.scale = low->scale;
    product.low_rank.down = operand(*low->packed_b, 0, range.out_begin);
    product.low_rank.up = operand(*low->packed_a, range.in_begin, 0);
  }
  gemm(context, product);
}

}  // namespace headspark
