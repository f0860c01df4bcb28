// The MLP of a block on the GPU: the steps of mlp.cc, with what products read written as their
// terms by the kernel that makes it, and sums taken where their last part is written. The bits are
// those of the steps, but that `fast` keeps gate, up and d_hidden as bf16 (mlp_keeps_bf16). What
// that saves in bytes: ARCHITECTURE.md, "Bytes of a layer on a GPU".
#include <vector>

#include "cuda/activation.h"
#include "cuda/alignment.h"
#include "cuda/layer_product.h"
#include "cuda/norm_products.h"
#include "cuda/term_elements.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

template <typename Stored>
struct ActivatedTerms {
  Activation activation;
  const Stored* gate;
  const Stored* up;  // null: not gated
  bool whole;        // see read_row_eight
  TermRows y;
};

/// Eight elements of a row of both inputs.
struct InputEights {
  Eight gate;
  Eight up;
  bool gated;

  HEADSPARK_DEVICE MlpInputs at(int j) const { return {gate.v[j], up.v[j], gated}; }
};

template <typename Params>
HEADSPARK_DEVICE InputEights read_inputs(const Params& p, const TermPlace& at, std::int64_t width) {
  const std::int64_t row = at.row * width;
  InputEights in{read_row_eight(p.gate + row, at.k, width, p.whole), {}, p.up != nullptr};
  if (in.gated) in.up = read_row_eight(p.up + row, at.k, width, p.whole);
  return in;
}

template <int Terms, typename Stored>
HEADSPARK_KERNEL(kElementThreads)
activated_kernel(ActivatedTerms<Stored> p) {
  const TermPlace at = term_place(p.y);
  if (at.row >= p.y.rows) return;
  const std::int64_t width = p.y.depth;
  const InputEights in = read_inputs(p, at, width);
  constexpr bool kQuick = Terms == 1;
  Eight y;
  HEADSPARK_UNROLL
  for (int j = 0; j < 8; ++j) {
    y.v[j] = at.k + j < width ? activated<kQuick>(p.activation, in.at(j)) : 0.0f;
  }
  store_eight<Terms>(p.y, at, y);
}

template <typename Stored>
struct GradientTerms {
  Activation activation;
  const Stored* gate;
  const Stored* up;
  const Stored* d_y;
  bool whole;
  TermRows d_gate;
  TermRows d_up;  // of the same shape; no data: not gated
};

template <int Terms, typename Stored>
HEADSPARK_KERNEL(kElementThreads)
gradient_kernel(GradientTerms<Stored> p) {
  const TermPlace at = term_place(p.d_gate);
  if (at.row >= p.d_gate.rows) return;
  const std::int64_t width = p.d_gate.depth;
  const InputEights in = read_inputs(p, at, width);
  const Eight d_y = read_row_eight(p.d_y + at.row * width, at.k, width, p.whole);
  constexpr bool kQuick = Terms == 1;
  Eight d_gate;
  Eight d_up;
  HEADSPARK_UNROLL
  for (int j = 0; j < 8; ++j) {
    ActivationGradient gradient{0.0f, 0.0f};
    if (at.k + j < width) {
      gradient = activation_gradient<kQuick>(p.activation, in.at(j), d_y.v[j]);
    }
    d_gate.v[j] = gradient.d_gate;
    d_up.v[j] = gradient.d_up;
  }
  store_eight<Terms>(p.d_gate, at, d_gate);
  if (p.d_up.data != nullptr) store_eight<Terms>(p.d_up, at, d_up);
}

/// Floats, or bf16 in the room of floats.
template <typename Stored>
const Stored* stored(const float* room) {
  return reinterpret_cast<const Stored*>(room);
}

struct Mlp {
  const Context& context;
  OpDevice& device;
  const MlpWeights& weights;
  std::int64_t tokens;
  int terms;    // of the rows between the steps; 0: fp32
  bool narrow;  // gate, up and d_hidden are bf16

  std::int64_t hidden() const { return weights.up->in(); }
  std::int64_t intermediate() const { return weights.up->out(); }
  /// What the nonlinearity is taken of.
  const LinearWeight& first() const {
    return weights.gate != nullptr ? *weights.gate : *weights.up;
  }

  /// What layers between the steps write where `narrow`, instead of `y`.
  std::uint16_t* narrow_of(float* y) const {
    return narrow ? reinterpret_cast<std::uint16_t*>(y) : nullptr;
  }
  void add(const float* x, float* y, const float* base) const {
    combine_cuda(context,
                 {.count = tokens * hidden(), .a = 1.0f, .x = x, .b = 1.0f, .y = y, .base = base});
  }
};

Mlp make_mlp(const Context& context, const MlpWeights& weights, std::int64_t tokens) {
  OpDevice& device = op_device(context);
  const LinearWeight* const layers[] = {weights.gate, weights.up, weights.down};
  return {context,
          device,
          weights,
          tokens,
          terms_for(context, layers),
          mlp_keeps_bf16(context, weights)};
}

GemmRows normed_rows(const Mlp& mlp, const MlpForward& p) {
  const std::int64_t hidden = mlp.hidden();
  if (mlp.weights.norm != nullptr) {
    return norm_forward_rows(mlp.context, whole_rows(*mlp.weights.norm, p.tokens, p.x, p.normed),
                             mlp.terms);
  }
  if (mlp.terms == 0) return {p.x, hidden};
  const TermRows rows = term_rows(mlp.device, mlp.terms, p.tokens, hidden);
  split_rows(mlp.device, p.x, hidden, rows);
  return {.terms = rows};
}

/// run<Terms, Stored>() for the terms that products read and the type of what is kept.
template <typename Run>
void in_kept_type(const Mlp& mlp, const Run& run) {
  if (mlp.narrow) return run.template operator()<1, std::uint16_t>();
  if (mlp.terms == 1) return run.template operator()<1, float>();
  run.template operator()<3, float>();
}

GemmRows activated_rows(const Mlp& mlp, const MlpForward& p) {
  const std::int64_t width = mlp.intermediate();
  if (mlp.terms == 0) {
    mlp_activation_forward_cuda(mlp.context,
                                {mlp.weights.activation, p.tokens * width, p.gate, p.up, p.hidden});
    return {p.hidden, width};
  }
  const TermRows rows = term_rows(mlp.device, mlp.terms, p.tokens, width);
  const bool whole = reads_eight(width, p.gate, p.up);
  in_kept_type(mlp, [&]<int Terms, typename Stored>() {
    launch(mlp.device.stream(), term_shape(rows), &activated_kernel<Terms, Stored>,
           ActivatedTerms<Stored>{mlp.weights.activation, stored<Stored>(p.gate),
                                  stored<Stored>(p.up), whole, rows});
  });
  return {.terms = rows};
}

struct GradientRows {
  GemmRows d_gate;
  GemmRows d_up;
};

GradientRows gradient_rows(const Mlp& mlp, const MlpBackward& p) {
  const std::int64_t width = mlp.intermediate();
  if (mlp.terms == 0) {
    mlp_activation_backward_cuda(mlp.context, {.activation = mlp.weights.activation,
                                               .count = p.tokens * width,
                                               .gate = p.gate,
                                               .up = p.up,
                                               .d_y = p.d_hidden,
                                               .d_gate = p.d_hidden,
                                               .d_up = p.d_up});
    return {{p.d_hidden, width}, {p.d_up, width}};
  }
  const bool gated = mlp.weights.gate != nullptr;
  const TermRows d_gate = term_rows(mlp.device, mlp.terms, p.tokens, width, gated ? 2 : 1);
  const GradientRows rows{{.terms = d_gate}, {.terms = gated ? next_set(d_gate) : TermRows{}}};
  const bool whole = reads_eight(width, p.gate, p.up, p.d_hidden);
  in_kept_type(mlp, [&]<int Terms, typename Stored>() {
    launch(
        mlp.device.stream(), term_shape(d_gate), &gradient_kernel<Terms, Stored>,
        GradientTerms<Stored>{mlp.weights.activation, stored<Stored>(p.gate), stored<Stored>(p.up),
                              stored<Stored>(p.d_hidden), whole, d_gate, rows.d_up.terms});
  });
  return rows;
}

}  // namespace

void mlp_forward_cuda(const Context& context, const MlpForward& p) {
  const Mlp mlp = make_mlp(context, p.weights, p.tokens);
  const MlpWeights& weights = p.weights;
  const GemmRows normed = normed_rows(mlp, p);
  const auto inside = [&](const LinearWeight& weight, float* y) -> LayerOutput {
    return {whole_layer(weight, p.tokens, nullptr, y), mlp.narrow_of(y)};
  };
  std::vector<LayerOutput> first{inside(mlp.first(), p.gate)};
  if (weights.gate != nullptr) first.push_back(inside(*weights.up, p.up));
  layers_forward(context, first, normed);
  const GemmRows activated = activated_rows(mlp, p);
  LinearForward down = whole_layer(*weights.down, p.tokens, nullptr, p.y);
  // What is kept by itself is the output with its low-rank term.
  const bool separate = p.out != nullptr && low_rank_of(*weights.down) != nullptr;
  if (separate) {
    down.y = p.out;
  } else {
    down.residual = p.residual;
  }
  layer_forward(context, down, activated, separate ? nullptr : p.out);
  if (separate) mlp.add(p.out, p.y, p.residual == p.y ? nullptr : p.residual);
}

void mlp_backward_cuda(const Context& context, const MlpBackward& p) {
  const Mlp mlp = make_mlp(context, p.weights, p.tokens);
  const MlpWeights& weights = p.weights;
  const std::int64_t hidden = mlp.hidden();
  const auto backward = [&](const LinearBackward& layer, const GemmRows& d_y,
                            std::uint16_t* narrow = nullptr) {
    layer_backward(context, layer, d_y, narrow);
  };
  backward(whole_layer_gradient(*weights.down, p.tokens, nullptr, p.d_hidden), {p.d_y, hidden},
           mlp.narrow_of(p.d_hidden));
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
