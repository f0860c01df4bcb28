// Each step quotes the line of forward.cc that it differentiates.
#include "engine/backward.h"

#include "engine/kv_heads.h"
#include "engine/mlp_weights.h"
#include "headspark/ops/attention.h"
#include "headspark/ops/head_input.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/projections.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

struct BackwardPass {
  const Engine& engine;
  const Batch& batch;
  const ForwardInputs& inputs;
  const Trace& trace;
  BackwardWorkspace& work;
  GradientSink& sink;
  std::int64_t rows;                     ///< of the activations that steps work on
  const WantedTokens* packed = nullptr;  ///< the rows are these tokens, packed; null: all tokens

  const Context& context() const { return engine.context; }
  const ModelConfig& config() const { return engine.config(); }
  std::int64_t query_width() const { return config().heads * config().head_dim; }
  std::int64_t kv_width() const { return config().kv_heads * config().head_dim; }
  const LayerWeights& weights(std::int64_t layer) const {
    return engine.model->layers[static_cast<std::size_t>(layer)];
  }

  void linear(const LinearWeight& weight, const float* d_y, float* d_x, GradientMode mode) const {
    LinearBackward params = whole_layer_gradient(weight, rows, d_y, d_x);
    params.mode = mode;
    linear_backward(context(), params);
  }
  /// Gradient at the residual stream from the gradient at its norm's output.
  void norm(const NormWeight& weight, const float* x, const float* d_y, float* d_x,
            GradientMode mode) const {
    norm_backward(context(), {.norm = &weight,
                              .rows = rows,
                              .x = x,
                              .x_stride = config().hidden,
                              .d_y = d_y,
                              .d_y_stride = config().hidden,
                              .d_x = d_x,
                              .d_x_stride = config().hidden,
                              .mode = mode});
  }
};

/// forward: after += norm(raw), where norms stand after a branch. What is before that norm: d_raw,
/// in the workspace; else d_after.
const float* before_post_norm(const BackwardPass& pass, const NormWeight& post_norm,
                              const float* raw, const float* d_after) {
  if (post_norm.empty()) return d_after;
  float* const d_raw = pass.work.d_out.data();
  pass.norm(post_norm, raw, d_after, d_raw, GradientMode::overwrite);
  return d_raw;
}

/// forward: hidden = act(gate) * up; after += down(hidden). Leaves d_input of the MLP in
/// work.d_input, shows it, and adds it to `d_residual`.
void mlp_backward(const BackwardPass& pass, std::int64_t index, const float* residual,
                  const float* d_after, float* d_residual) {
  if (index == pass.inputs.mlp_layer) return;  // replaced: no gradient goes through it
  const LayerTrace& layer = pass.trace.layer(index);
  const ModelConfig& config = pass.config();
  BackwardWorkspace& work = pass.work;
  MlpBackward params;
  params.weights = mlp_weights(config, pass.weights(index));
  params.tokens = pass.rows;
  params.x = residual;
  params.gate = layer.gate;
  params.up = config.gated_mlp ? layer.up : nullptr;
  params.d_y = before_post_norm(pass, pass.weights(index).mlp_post_norm, layer.mlp_raw, d_after);
  params.d_x = work.d_input.data();
  params.d_residual = d_residual;
  params.d_hidden = work.d_hidden.data();
  params.d_up = config.gated_mlp ? work.d_up.data() : nullptr;
  params.d_normed = work.d_normed.data();
  mlp_backward(pass.context(), params);
  if (pass.packed != nullptr) {
    pass.packed->spread(pass.context(), config.hidden, work.d_input.data());
  }
  pass.sink.mlp_input(index, work.d_input.data());
}

/// forward: q, k = rotate(q), rotate(k). Gradients per query head, [tokens, heads, head_dim] each,
/// in place.
void undo_rotate(const BackwardPass& pass, std::int64_t index, float* d_q, float* d_k) {
  const ModelConfig& config = pass.config();
  if (!pass.inputs.rotates(config, index)) return;
  rotary_backward(pass.context(), {.table = &pass.inputs.rotary->of(config, index),
                                   .positions = pass.batch.positions(),
                                   .tokens = pass.rows,
                                   .heads = config.heads,
                                   .head_dim = config.head_dim,
                                   .x = d_q,
                                   .second_heads = config.heads,
                                   .second = d_k,
                                   .scale = config.rotated_scale(index)});
}

/// forward: out = norm(raw), per head or over all heads together, as wide as the norm is. `d` is
/// [tokens, heads, head_dim] in place; `share` query heads, which are neighbours in it, read one
/// head of `raw`.
void undo_norm(const BackwardPass& pass, const NormWeight& norm, const float* raw,
               std::int64_t share, float* d) {
  const auto width = static_cast<std::int64_t>(norm.weight.size());
  for (std::int64_t reader = 0; reader < share; ++reader) {
    float* const d_heads = d + reader * width;
    norm_backward(pass.context(), {.norm = &norm,
                                   .rows = pass.rows * pass.query_width() / (share * width),
                                   .x = raw,
                                   .x_stride = width,
                                   .d_y = d_heads,
                                   .d_y_stride = share * width,
                                   .d_x = d_heads,
                                   .d_x_stride = share * width,
                                   .mode = GradientMode::overwrite});
  }
}

/// Whether the norm of all keys together needs one of each query head, as their gradients are.
bool repeats_keys(const ModelConfig& config) {
  return config.qk_norm_together && config.heads > config.kv_heads;
}

/// forward: the norms of q and k, if the model has them.
void undo_qk_norm(const BackwardPass& pass, std::int64_t index) {
  const ModelConfig& config = pass.config();
  if (!config.qk_norm) return;
  const LayerWeights& weights = pass.weights(index);
  const LayerTrace& layer = pass.trace.layer(index);
  BackwardWorkspace& work = pass.work;
  undo_norm(pass, weights.q_norm, layer.q_raw, 1, work.d_q.data());
  if (!repeats_keys(config)) {
    const std::int64_t share = config.qk_norm_together ? 1 : config.heads / config.kv_heads;
    return undo_norm(pass, weights.k_norm, layer.k_raw, share, work.d_k.data());
  }
  repeat_kv_heads(pass.engine, pass.rows, layer.k_raw, work.k_each.data());
  undo_norm(pass, weights.k_norm_each, work.k_each.data(), 1, work.d_k.data());
}

/// The outputs of the q and k projections.
struct ProjectedHeads {
  const float* q;
  const float* k;
};

/// Kept as they were where heads are normed, else unrotated into the workspace.
ProjectedHeads before_rotation(const BackwardPass& pass, std::int64_t index) {
  const LayerTrace& layer = pass.trace.layer(index);
  const ModelConfig& config = pass.config();
  if (config.qk_norm) return {layer.q_raw, layer.k_raw};
  if (!pass.inputs.rotates(config, index)) return {layer.q, layer.k};
  float* const q = pass.work.projected_q.data();
  float* const k = pass.work.projected_k.data();
  rotary_backward(pass.context(), {.table = &pass.inputs.rotary->of(config, index),
                                   .positions = pass.batch.positions(),
                                   .tokens = pass.rows,
                                   .heads = config.heads,
                                   .head_dim = config.head_dim,
                                   .x = q,
                                   .second_heads = config.kv_heads,
                                   .second = k,
                                   .x_from = layer.q,
                                   .second_from = layer.k,
                                   .scale = 1.0f / config.rotated_scale(index)});
  return {q, k};
}

/// Gives the sink the gradients at the inputs of q, k and v, per head.
void give_head_inputs(const BackwardPass& pass, std::int64_t index) {
  const ModelConfig& config = pass.config();
  const LayerWeights& weights = pass.weights(index);
  const LayerTrace& layer = pass.trace.layer(index);
  BackwardWorkspace& work = pass.work;
  const bool grouped = pass.sink.grouped_kv();
  const std::int64_t count = grouped ? config.kv_heads : config.heads;
  const std::int64_t share = count / config.kv_heads;
  HeadInputBackward params;
  params.norm = &weights.attention_norm;
  params.copies = pass.sink.copies();
  params.tokens = pass.rows / params.copies;
  params.head_dim = config.head_dim;
  params.x = layer.residual;
  params.type = pass.sink.head_inputs_type();
  const auto add = [&](HeadInput which, const LinearWeight& weight, std::int64_t heads,
                       std::int64_t sharing, const float* projected, const float* d) {
    params.projections.push_back({&weight, heads, sharing, projected, d,
                                  pass.sink.head_inputs(index, which),
                                  params.tokens * config.hidden});
  };
  const ProjectedHeads projected = before_rotation(pass, index);
  add(HeadInput::q, weights.q, config.heads, 1, projected.q, work.d_q.data());
  add(HeadInput::k, weights.k, count, share, projected.k,
      grouped ? work.d_k_group.data() : work.d_k.data());
  add(HeadInput::v, weights.v, count, share, layer.v,
      grouped ? work.d_v_group.data() : work.d_v.data());
  head_input_backward(pass.context(), params);
}

/// forward: after += o(z)
void output_backward(const BackwardPass& pass, std::int64_t index, const float* d_after) {
  BackwardWorkspace& work = pass.work;
  if (index == pass.inputs.attention_layer) return work.d_z.zero();  // replaced
  const LayerWeights& weights = pass.weights(index);
  const float* const d_out = before_post_norm(pass, weights.attention_post_norm,
                                              pass.trace.layer(index).attention_raw, d_after);
  pass.linear(weights.o, d_out, work.d_z.data(), GradientMode::overwrite);
}

/// forward: z = gate(attention(q, k, v)). Leaves d_q, d_k, d_v per query head at the projections'
/// outputs.
void attention_core_backward(const BackwardPass& pass, std::int64_t index) {
  const LayerTrace& layer = pass.trace.layer(index);
  const ModelConfig& config = pass.config();
  BackwardWorkspace& work = pass.work;
  AttentionBackward params;
  set_attention_inputs(config, pass.batch, pass.inputs, index, params);
  params.q = layer.q;
  params.k = layer.k;
  params.v = layer.v;
  params.raw = params.gate.active() ? layer.raw : layer.z;
  params.lse = layer.lse;
  params.d_z = work.d_z.data();
  params.d_q = work.d_q.data();
  params.d_k = work.d_k.data();
  params.d_v = work.d_v.data();
  attention_backward(pass.context(), params);
  undo_rotate(pass, index, work.d_q.data(), work.d_k.data());
  undo_qk_norm(pass, index);
}

/// The same in the last layer, where tokens without a query have no gradient there.
void wanted_projections_backward(const BackwardPass& pass, const WantedTokens& wanted,
                                 std::int64_t index, float* d_residual) {
  const LayerWeights& weights = pass.weights(index);
  BackwardWorkspace& work = pass.work;
  BackwardPass queries = pass;
  queries.rows = wanted.count();
  const Buffer<float> d_q = wanted.pack(pass.context(), pass.query_width(), work.d_q.data());
  queries.linear(weights.q, d_q.data(), work.d_normed.data(), GradientMode::overwrite);
  wanted.spread(pass.context(), pass.config().hidden, work.d_normed.data());
  pass.linear(weights.k, work.d_k_group.data(), work.d_normed.data(), GradientMode::accumulate);
  pass.linear(weights.v, work.d_v_group.data(), work.d_normed.data(), GradientMode::accumulate);
  pass.norm(weights.attention_norm, pass.trace.layer(index).residual, work.d_normed.data(),
            d_residual, GradientMode::accumulate);
}

/// forward: normed = norm(residual); q, k, v = linear(normed)
void projections_backward(const BackwardPass& pass, std::int64_t index, float* d_residual) {
  const WantedTokens* wanted = pass.inputs.wanted;
  if (wanted != nullptr && index + 1 == pass.config().layers) {
    return wanted_projections_backward(pass, *wanted, index, d_residual);
  }
  const LayerWeights& weights = pass.weights(index);
  BackwardWorkspace& work = pass.work;
  ProjectionsBackward params;
  params.norm = &weights.attention_norm;
  params.inputs = {{&weights.q, work.d_q.data()},
                   {&weights.k, work.d_k_group.data()},
                   {&weights.v, work.d_v_group.data()}};
  params.tokens = pass.rows;
  params.x = pass.trace.layer(index).residual;
  params.d_x = d_residual;
  params.d_normed = work.d_normed.data();
  headspark::projections_backward(pass.context(), params);
}

/// From work.d_z on.
void attention_backward_block(const BackwardPass& pass, std::int64_t index, float* d_residual) {
  const ModelConfig& config = pass.config();
  BackwardWorkspace& work = pass.work;
  attention_core_backward(pass, index);
  const AttentionShape shape{config.heads, config.kv_heads, config.head_dim, 0.0f};
  sum_head_groups(pass.context(), shape, pass.rows, work.d_k.data(), work.d_k_group.data());
  sum_head_groups(pass.context(), shape, pass.rows, work.d_v.data(), work.d_v_group.data());
  give_head_inputs(pass, index);
  pass.sink.attention_done(index);
  projections_backward(pass, index, d_residual);
}

void layer_backward(const BackwardPass& pass, std::int64_t index) {
  const LayerTrace& layer = pass.trace.layer(index);
  BackwardWorkspace& work = pass.work;
  float* d_residual = work.d_residual.data();
  if (pass.config().parallel_block) {
    // Both branches read the block's input and write its output: keep the output's gradient.
    combine(pass.context(), {.count = pass.rows * pass.config().hidden,
                             .a = 1.0f,
                             .x = d_residual,
                             .b = 0.0f,
                             .y = work.d_out.data()});
    mlp_backward(pass, index, layer.residual, work.d_out.data(), d_residual);
    output_backward(pass, index, work.d_out.data());
  } else {
    mlp_backward(pass, index, layer.residual_mid, d_residual, d_residual);
    output_backward(pass, index, d_residual);
  }
  attention_backward_block(pass, index, d_residual);
}

/// The same where only the wanted tokens have a gradient above: packed down to z, then in place.
void last_layer_backward(const BackwardPass& all, const WantedTokens& wanted) {
  const std::int64_t index = all.config().layers - 1;
  const Context& context = all.context();
  const std::int64_t hidden = all.config().hidden;
  const LayerTrace& layer = all.trace.layer(index);
  BackwardWorkspace& work = all.work;
  float* d_residual = work.d_residual.data();
  BackwardPass pass = all;
  pass.rows = wanted.count();
  pass.packed = &wanted;
  if (all.config().parallel_block) {
    combine(context,
            {.count = pass.rows * hidden, .x = d_residual, .b = 0.0f, .y = work.d_out.data()});
    const Buffer<float> residual = wanted.pack(context, hidden, layer.residual);
    mlp_backward(pass, index, residual.data(), work.d_out.data(), d_residual);
    output_backward(pass, index, work.d_out.data());
  } else {
    mlp_backward(pass, index, layer.residual_mid, d_residual, d_residual);
    output_backward(pass, index, d_residual);
  }
  wanted.spread(context, all.query_width(), work.d_z.data());
  wanted.spread(context, hidden, d_residual);
  attention_backward_block(all, index, d_residual);
}

/// The gradient at the final residual stream, of all tokens, for the sink.
void show_logits_input(const BackwardPass& pass) {
  float* d_residual = pass.work.d_residual.data();
  if (pass.inputs.wanted == nullptr) return pass.sink.logits_input(d_residual);
  const WantedTokens& wanted = *pass.inputs.wanted;
  float* d_input = pass.work.d_input.data();
  const std::int64_t hidden = pass.config().hidden;
  combine(pass.context(),
          {.count = wanted.count() * hidden, .x = d_residual, .b = 0.0f, .y = d_input});
  wanted.spread(pass.context(), hidden, d_input);
  pass.sink.logits_input(d_input);
}

}  // namespace

BackwardWorkspace::BackwardWorkspace(const Engine& engine, std::int64_t max_tokens) {
  const ModelConfig& config = engine.config();
  const std::int64_t query_width = config.heads * config.head_dim;
  const std::int64_t kv_width = config.kv_heads * config.head_dim;
  const auto make = [&](std::int64_t width) {
    return Buffer<float>(engine.context.backend, max_tokens * width);
  };
  d_residual = make(config.hidden);
  if (config.parallel_block || config.post_norm) d_out = make(config.hidden);
  d_normed = make(config.hidden);
  d_input = make(config.hidden);
  projected_q = make(query_width);
  projected_k = make(kv_width);
  d_hidden = make(mlp_kept_width(engine));
  if (config.gated_mlp) d_up = make(config.intermediate);
  if (repeats_keys(config)) k_each = make(query_width);
  d_z = make(query_width);
  d_q = make(query_width);
  d_k = make(query_width);
  d_v = make(query_width);
  d_k_group = make(kv_width);
  d_v_group = make(kv_width);
}

std::int64_t BackwardWorkspace::floats_per_token(const Engine& engine) {
  const ModelConfig& config = engine.config();
  const std::int64_t k_each = repeats_keys(config) ? config.heads : 0;
  return 4 * config.hidden + config.intermediate + mlp_kept_width(engine) +
         (k_each + 5 * config.heads + 3 * config.kv_heads) * config.head_dim;
}

void run_backward(const Engine& engine, const Batch& batch, const ForwardInputs& inputs,
                  const Trace& trace, BackwardWorkspace& workspace, GradientSink& sink,
                  const RunControl& control) {
  const BackwardPass pass{engine, batch, inputs, trace, workspace, sink, batch.tokens()};
  show_logits_input(pass);
  for (std::int64_t layer = engine.config().layers - 1; layer >= 0; --layer) {
    control.check();
    if (inputs.wanted != nullptr && layer + 1 == engine.config().layers) {
      last_layer_backward(pass, *inputs.wanted);
    } else {
      layer_backward(pass, layer);
    }
  }
}

}  // namespace headspark
