// linear over packed weights: y = x Wᵀ + b + scale (x Aᵀ) Bᵀ and d_x = d_y W + scale (d_y B) A.
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/gemm.h"
#include "ops/linear_range.h"

namespace headspark {

void linear_forward_fast(const Context& context, const LinearForward& p) {
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_forward");
  Gemm main;
  main.rows = p.tokens;
  main.columns = range.out();
  main.depth = range.in();
  main.a = p.x;
  main.a_stride = p.x_stride;
  main.b.packed = &p.weight->packed->forward(*context.threads, kernel_table(context).gemm);
  main.b.first_column = range.out_begin;
  main.b.first_depth = range.in_begin;
  main.c = p.y;
  main.c_stride = p.y_stride;
  main.initial = p.residual;
  if (p.with_bias && !p.weight->bias.empty()) main.bias = p.weight->bias.data() + range.out_begin;
  gemm(context, main);
  const LowRank* low = p.weight->low_rank.get();
  if (low == nullptr || low->rank == 0) return;

  std::vector<float> inner(static_cast<std::size_t>(p.tokens * low->rank));
  Gemm down;  // inner = x Aᵀ
  down.rows = p.tokens;
  down.columns = low->rank;
  down.depth = range.in();
  down.a = p.x;
  down.a_stride = p.x_stride;
  down.b.by_column = low->a.data() + range.in_begin;
  down.b.stride = p.weight->in();
  down.c = inner.data();
  down.c_stride = low->rank;
  gemm(context, down);
  Gemm up;  // y += scale inner Bᵀ
  up.rows = p.tokens;
  up.columns = range.out();
  up.depth = low->rank;
  up.a = inner.data();
  up.a_stride = low->rank;
  up.a_scale = low->scale;
  up.b.by_column = low->b.data() + range.out_begin * low->rank;
  up.b.stride = low->rank;
  up.c = p.y;
  up.c_stride = p.y_stride;
  up.initial = p.y;
  gemm(context, up);
}

void linear_backward_fast(const Context& context, const LinearBackward& p) {
  const LinearRange range = linear_range(*p.weight, p.slice, "linear_backward");
  Gemm main;
  main.rows = p.tokens;
  main.columns = range.in();
  main.depth = range.out();
  main.a = p.d_y;
  main.a_stride = p.d_y_stride;
  main.b.packed = &p.weight->packed->transposed(*context.threads, kernel_table(context).gemm);
  main.b.first_column = range.in_begin;
  main.b.first_depth = range.out_begin;
  main.c = p.d_x;
  main.c_stride = p.d_x_stride;
  if (p.mode == GradientMode::accumulate) main.initial = p.d_x;
  gemm(context, main);
  const LowRank* low = p.weight->low_rank.get();
  if (low == nullptr || low->rank == 0) return;

  std::vector<float> d_inner(static_cast<std::size_t>(p.tokens * low->rank));
  Gemm down;  // d_inner = d_y B
  down.rows = p.tokens;
  down.columns = low->rank;
  down.depth = range.out();
  down.a = p.d_y;
  down.a_stride = p.d_y_stride;
  down.b.by_depth = low->b.data() + range.out_begin * low->rank;
  down.b.stride = low->rank;
  down.c = d_inner.data();
  down.c_stride = low->rank;
  gemm(context, down);
  Gemm up;  // d_x += scale d_inner A
  up.rows = p.tokens;
  up.columns = range.in();
  up.depth = low->rank;
  up.a = d_inner.data();
  up.a_stride = low->rank;
  up.a_scale = low->scale;
  up.b.by_depth = low->a.data() + range.in_begin;
  up.b.stride = p.weight->in();
  up.c = p.d_x;
  up.c_stride = p.d_x_stride;
  up.initial = p.d_x;
  gemm(context, up);
}

}  // namespace headspark
