// The MLP of a block on the GPU: the steps of mlp.cc, with what products read written as their
// terms by the kernel that makes it, and sums taken where their last part is written. The bits are
// those of the steps. What that saves in bytes: ARCHITECTURE.md, "Bytes of a layer on a GPU".
#include "cuda/activation.h"
#include "cuda/layer_product.h"
#include "cuda/norm_products.h"
#include "cuda/term_pairs.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

struct ActivatedTerms {
  MlpActivationForward params;
  TermRows y;
};

template <int Terms>
HEADSPARK_KERNEL(kElementThreads)
activated_kernel(ActivatedTerms p) {
  const TermPlace at = term_place(p.y);
  if (at.row >= p.y.rows) return;
  const std::int64_t i = at.row * p.y.depth + at.k;
  store_pair<Terms>(p.y, at, at.k < p.y.depth ? activated(p.params, i) : 0.0f,
                    at.k + 1 < p.y.depth ? activated(p.params, i + 1) : 0.0f);
}

struct GradientTerms {
  MlpActivationBackward params;
  TermRows d_gate;
  TermRows d_up;  // of the same shape; no data: not gated
};

template <int Terms>
HEADSPARK_KERNEL(kElementThreads)
gradient_kernel(GradientTerms p) {
  const TermPlace at = term_place(p.d_gate);
  if (at.row >= p.d_gate.rows) return;
  const std::int64_t i = at.row * p.d_gate.depth + at.k;
  ActivationGradient low{0.0f, 0.0f};
  ActivationGradient high{0.0f, 0.0f};
  if (at.k < p.d_gate.depth) low = activation_gradient(p.params, i);
  if (at.k + 1 < p.d_gate.depth) high = activation_gradient(p.params, i + 1);
  store_pair<Terms>(p.d_gate, at, low.d_gate, high.d_gate);
  if (p.d_up.data != nullptr) store_pair<Terms>(p.d_up, at, low.d_up, high.d_up);
}

struct Mlp {
  const Context& context;
  OpDevice& device;
  const MlpWeights& weights;
  std::int64_t tokens;
  int terms;  // of the rows between the steps; 0: fp32

  std::int64_t hidden() const { return weights.up->in(); }
  std::int64_t intermediate() const { return weights.up->out(); }
  /// What the nonlinearity is taken of.
  const LinearWeight& first() const {
    return weights.gate != nullptr ? *weights.gate : *weights.up;
  }

  void add(const float* x, float* y, const float* base) const {
    combine_cuda(context,
                 {.count = tokens * hidden(), .a = 1.0f, .x = x, .b = 1.0f, .y = y, .base = base});
  }
};

Mlp make_mlp(const Context& context, const MlpWeights& weights, std::int64_t tokens) {
  OpDevice& device = op_device(context);
  const LinearWeight* const layers[] = {weights.gate, weights.up, weights.down};
  return {context, device, weights, tokens, terms_for(device, context.precision, layers)};
}

GemmRows normed_rows(const Mlp& mlp, const MlpForward& p) {
  const std::int64_t hidden = mlp.hidden();
  if (mlp.weights.norm != nullptr) {
    return norm_forward_rows(
        mlp.context, {mlp.weights.norm, p.tokens, p.x, hidden, p.normed, hidden}, mlp.terms);
  }
  if (mlp.terms == 0) return {p.x, hidden};
  const TermRows rows = term_rows(mlp.device, mlp.terms, p.tokens, hidden);
  split_rows(mlp.device, p.x, hidden, rows);
  return {.terms = rows};
}

GemmRows activated_rows(const Mlp& mlp, const MlpForward& p) {
  const std::int64_t width = mlp.intermediate();
  const MlpActivationForward params{mlp.weights.activation, p.tokens * width, p.gate, p.up,
                                    p.hidden};
  if (mlp.terms == 0) {
    mlp_activation_forward_cuda(mlp.context, params);
    return {p.hidden, width};
  }
  const TermRows rows = term_rows(mlp.device, mlp.terms, p.tokens, width);
  launch(mlp.device.stream(), term_shape(rows),
         mlp.terms == 1 ? &activated_kernel<1> : &activated_kernel<3>,
         ActivatedTerms{params, rows});
  return {.terms = rows};
}

struct GradientRows {
  GemmRows d_gate;
  GemmRows d_up;
};

GradientRows gradient_rows(const Mlp& mlp, const MlpBackward& p) {
  const std::int64_t width = mlp.intermediate();
  const MlpActivationBackward params{.activation = mlp.weights.activation,
                                     .count = p.tokens * width,
                                     .gate = p.gate,
                                     .up = p.up,
                                     .d_y = p.d_hidden,
                                     .d_gate = p.d_hidden,
                                     .d_up = p.d_up};
  if (mlp.terms == 0) {
    mlp_activation_backward_cuda(mlp.context, params);
    return {{p.d_hidden, width}, {p.d_up, width}};
  }
  const bool gated = mlp.weights.gate != nullptr;
  const TermRows d_gate = term_rows(mlp.device, mlp.terms, p.tokens, width, gated ? 2 : 1);
  const TermRows d_up = gated ? next_set(d_gate) : TermRows{};
  launch(mlp.device.stream(), term_shape(d_gate),
         mlp.terms == 1 ? &gradient_kernel<1> : &gradient_kernel<3>,
         GradientTerms{params, d_gate, d_up});
  return {{.terms = d_gate}, {.terms = d_up}};
}

}  // namespace

void mlp_forward_cuda(const Context& context, const MlpForward& p) {
  const Mlp mlp = make_mlp(context, p.weights, p.tokens);
  const MlpWeights& weights = p.weights;
  const GemmRows normed = normed_rows(mlp, p);
  const auto forward = [&](const LinearForward& layer, const GemmRows& x, float* plain = nullptr) {
    layer_forward(mlp.device, context.precision, layer, x, plain);
  };
  if (weights.gate != nullptr) {
    forward(whole_layer(*weights.up, p.tokens, nullptr, p.up), normed);
  }
  forward(whole_layer(mlp.first(), p.tokens, nullptr, p.gate), normed);
  const GemmRows activated = activated_rows(mlp, p);
  LinearForward down = whole_layer(*weights.down, p.tokens, nullptr, p.y);
  // What is kept by itself is the output with its low-rank term.
  const bool separate = p.out != nullptr && low_rank_of(*weights.down) != nullptr;
  if (separate) {
    down.y = p.out;
  } else {
    down.residual = p.residual;
  }
  forward(down, activated, separate ? nullptr : p.out);
  if (separate) mlp.add(p.out, p.y, p.residual == p.y ? nullptr : p.residual);
}

void mlp_backward_cuda(const Context& context, const MlpBackward& p) {
  const Mlp mlp = make_mlp(context, p.weights, p.tokens);
  const MlpWeights& weights = p.weights;
  const std::int64_t hidden = mlp.hidden();
  const auto backward = [&](const LinearBackward& layer, const GemmRows& d_y) {
    layer_backward(mlp.device, context.precision, layer, d_y);
  };
  backward(whole_layer_gradient(*weights.down, p.tokens, nullptr, p.d_hidden), {p.d_y, hidden});
  const GradientRows gradients = gradient_rows(mlp, p);
  backward(whole_layer_gradient(mlp.first(), p.tokens, nullptr, p.d_normed), gradients.d_gate);
  if (weights.gate != nullptr) {
    // A low-rank term belongs to the gradient of up before that is added.
    const bool separate = low_rank_of(*weights.up) != nullptr;
    LinearBackward up =
        whole_layer_gradient(*weights.up, p.tokens, nullptr, separate ? p.d_x : p.d_normed);
    up.mode = separate ? GradientMode::overwrite : GradientMode::accumulate;
    backward(up, gradients.d_up);
    if (separate) mlp.add(p.d_x, p.d_normed, nullptr);
  }
  norm_backward_with_sum(mlp.device,
                         {.norm = weights.norm,
                          .rows = p.tokens,
                          .x = p.x,
                          .x_stride = hidden,
                          .d_y = p.d_normed,
                          .d_y_stride = hidden,
                          .d_x = p.d_x,
                          .d_x_stride = hidden,
                          .mode = GradientMode::overwrite},
                         p.d_residual);
}

}  // namespace headspark
