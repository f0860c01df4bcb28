// linear over packed weights: y = x Wᵀ + b + scale (x Aᵀ) Bᵀ and d_x = d_y W + scale (d_y B) A.
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/gemm.h"
#include "ops/linear_range.h"

namespace headspark {
namespace {

using Direction = PackedWeights::Direction;

Gemm product_of(const Context& context, const LinearForward& p) {
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_forward");
  Gemm product;
  product.rows = p.tokens;
  product.columns = range.out();
  product.depth = range.in();
  product.a = p.x;
  product.a_stride = p.x_stride;
  product.b = layer_panels(context, *p.weight, Direction::forward);
  product.first_column = range.out_begin;
  product.first_depth = range.in_begin;
  product.c = p.y;
  product.c_stride = p.y_stride;
  product.initial = p.residual;
  if (p.with_bias && !p.weight->bias.empty()) {
    product.bias = p.weight->bias.data() + range.out_begin;
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

void linear_forward_each_fast(const Context& context, const LinearEach& p) {
  std::vector<Gemm> products;
  products.reserve(p.layers.size());
  for (const LinearForward& layer : p.layers) {
    products.push_back(product_of(context, layer));
    products.back().norm = p.norm;
  }
  gemm_each(context, products);
}

void linear_backward_fast(const Context& context, const LinearBackward& p) {
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_backward");
  Gemm product;
  product.rows = p.tokens;
  product.columns = range.in();
  product.depth = range.out();
  product.a = p.d_y;
  product.a_stride = p.d_y_stride;
  product.b = layer_panels(context, *p.weight, Direction::transposed);
  product.first_column = range.in_begin;
  product.first_depth = range.out_begin;
  product.c = p.d_x;
  product.c_stride = p.d_x_stride;
  if (p.mode == GradientMode::accumulate) product.initial = p.d_x;
  gemm(context, product);
}

}  // namespace headspark
