// Embedding, then per layer: norm, q/k/v, rotation, attention (where the gates act), output
// projection, MLP. Sequential blocks read the residual stream after attention, parallel blocks
// (GPT-NeoX) read it before. Norms may stand after attention and MLP as well (Gemma 3), or instead
// (OLMo 2), where those before are fixed ones of weight 1.
#include "engine/forward.h"

#include <string>

#include "engine/mlp_weights.h"
#include "engine/paged_batch.h"
#include "headspark/error.h"
#include "headspark/ops/attention.h"
#include "headspark/ops/embedding.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/projections.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

struct ForwardPass {
  const Engine& engine;
  const Batch& batch;
  const ForwardInputs& inputs;
  Trace& trace;
  std::int64_t rows;              ///< of the activations that steps work on: tokens, or wanted ones
  const std::int32_t* positions;  ///< [rows]
  const Context& context;         ///< the engine's, decoding or not

  const ModelConfig& config() const { return engine.config(); }
  const LayerWeights& weights(std::int64_t layer) const {
    return engine.model->layers[static_cast<std::size_t>(layer)];
  }

  void copy(const float* from, float* to, std::int64_t width) const {
    if (from == to) return;
    combine(context, {.count = rows * width, .a = 1.0f, .x = from, .b = 0.0f, .y = to});
  }
  /// to = a + b; `to` may be `a`.
  void sum(const float* a, const float* b, float* to, std::int64_t width) const {
    combine(context, {.count = rows * width,
                      .a = 1.0f,
                      .x = b,
                      .b = 1.0f,
                      .y = to,
                      .base = a == to ? nullptr : a});
  }
  void norm(const NormWeight& weight, const float* x, float* y) const {
    norm_forward(context, whole_rows(weight, rows, x, y));
  }
  void linear(const LinearWeight& weight, const float* x, float* y,
              const float* residual = nullptr) const {
    LinearForward params = whole_layer(weight, rows, x, y);
    params.residual = residual;
    linear_forward(context, params);
  }
};

void embed(const ForwardPass& pass) {
  const Model& model = *pass.engine.model;
  float* embedding = pass.trace.embedding();
  if (pass.inputs.embeddings != nullptr) {
    pass.copy(pass.inputs.embeddings, embedding, pass.config().hidden);
  } else {
    embedding_forward(pass.context, {.table = &model.embedding,
                                     .indices = pass.batch.token_ids(),
                                     .tokens = pass.rows,
                                     .y = embedding,
                                     .scale = pass.config().embedding_scale});
  }
  float* residual = pass.trace.layer(0).residual;
  pass.copy(embedding, residual, pass.config().hidden);
  if (pass.config().learned_positions) {
    embedding_forward(pass.context, {.table = &model.position_embedding,
                                     .indices = pass.positions,
                                     .tokens = pass.rows,
                                     .y = residual,
                                     .add_to_y = true});
  }
}

/// The residual stream where a pass does not start from the tokens.
void start(const ForwardPass& pass) {
  const std::int64_t layer = pass.inputs.first_layer;
  const std::int64_t hidden = pass.config().hidden;
  if (layer < pass.config().layers) {
    pass.copy(pass.inputs.start_residual, pass.trace.layer(layer).residual, hidden);
  } else if (pass.inputs.wanted == nullptr) {
    pass.copy(pass.inputs.start_residual, pass.trace.final_residual(), hidden);
  } else {
    const WantedTokens& wanted = *pass.inputs.wanted;
    const Buffer<float> packed = wanted.pack(pass.context, hidden, pass.inputs.start_residual);
    combine(
        pass.context,
        {.count = packed.size(), .x = packed.data(), .b = 0.0f, .y = pass.trace.final_residual()});
  }
}

/// q or k of a layer.
struct RotatedProjection {
  const LinearWeight& weight;
  const NormWeight& head_norm;  ///< empty: none
  std::int64_t heads;
  float* raw;  ///< [rows, heads, head_dim] before the norm
  float* out;

  /// Where the projection goes.
  ProjectionsForward::Output output() const { return {&weight, head_norm.empty() ? out : raw}; }
};

/// After the projection: the norm of its heads if the model has one.
void norm_heads(const ForwardPass& pass, const RotatedProjection& projection) {
  const auto& [weight, head_norm, heads, raw, out] = projection;
  if (head_norm.empty()) return;
  const auto width = static_cast<std::int64_t>(head_norm.weight.size());  // of a head, or of all
  const std::int64_t rows = pass.rows * heads * pass.config().head_dim / width;
  norm_forward(pass.context, whole_rows(head_norm, rows, raw, out));
}

void attend(const ForwardPass& pass, std::int64_t index, const LayerTrace& layer) {
  const ModelConfig& config = pass.config();
  if (pass.inputs.pages != nullptr) {
    HeadGate gate;
    if (!pass.inputs.gates.empty()) gate = pass.inputs.gates[static_cast<std::size_t>(index)];
    const RowLayout layout = attention_layout(config, pass.batch, pass.inputs, index);
    pass.inputs.pages->attend(pass.engine, layout, index, layer, gate);
    return;
  }
  AttentionForward params;
  set_attention_inputs(config, pass.batch, pass.inputs, index, params);
  params.q = layer.q;
  params.k = layer.k;
  params.v = layer.v;
  params.z = layer.z;
  params.raw = params.gate.active() ? layer.raw : nullptr;
  params.lse = pass.trace.options().gradients ? layer.lse : nullptr;
  attention_forward(pass.context, params);
}

struct Projected {
  bool queries = true;
  bool keys_and_values = true;
};

/// q, k and v of a layer, or some of them, from the residual stream.
void project(const ForwardPass& pass, std::int64_t index, const float* residual,
             const Projected& which) {
  const LayerWeights& weights = pass.weights(index);
  const LayerTrace& layer = pass.trace.layer(index);
  const ModelConfig& config = pass.config();
  const RotatedProjection q{weights.q, weights.q_norm, config.heads, layer.q_raw, layer.q};
  const RotatedProjection k{weights.k, weights.k_norm, config.kv_heads, layer.k_raw, layer.k};
  ProjectionsForward params;
  params.norm = &weights.attention_norm;
  params.tokens = pass.rows;
  params.x = residual;
  params.normed = pass.trace.normed();
  if (which.queries) params.outputs.push_back(q.output());
  if (which.keys_and_values) {
    params.outputs.push_back(k.output());
    params.outputs.push_back({&weights.v, layer.v});
  }
  projections_forward(pass.context, params);
  if (which.queries) norm_heads(pass, q);
  if (which.keys_and_values) norm_heads(pass, k);
  if (!pass.inputs.rotates(config, index)) return;
  rotary_forward(pass.context, {.table = &pass.inputs.rotary->of(config, index),
                                .positions = pass.positions,
                                .tokens = pass.rows,
                                .heads = which.queries ? q.heads : 0,
                                .head_dim = config.head_dim,
                                .x = which.queries ? q.out : nullptr,
                                .second_heads = which.keys_and_values ? k.heads : 0,
                                .second = which.keys_and_values ? k.out : nullptr,
                                .scale = config.rotated_scale(index)});
}

/// after = residual + norm(raw): a branch whose norm stands after it. norm(raw) goes to `normed`.
void add_normed(const ForwardPass& pass, const NormWeight& norm, const float* raw, float* normed,
                const float* residual, float* after) {
  pass.norm(norm, raw, normed);
  pass.sum(residual, normed, after, pass.config().hidden);
}

/// Keeps what is written of z for the sources.
void keep_written(const ForwardPass& pass, std::int64_t index, const float* z) {
  const LayerTrace& layer = pass.trace.layer(index);
  const std::int64_t width = pass.config().heads * pass.config().head_dim;
  if (index == pass.inputs.attention_layer) {
    if (pass.trace.options().sources) pass.copy(z, layer.written, width);
    return;
  }
  if (!pass.config().post_norm || layer.written == nullptr) return;
  norm_scale(pass.context, {.norm = &pass.weights(index).attention_post_norm,
                            .rows = pass.rows,
                            .x = layer.attention_raw,
                            .z = z,
                            .parts_width = width,
                            .y = layer.written});
}

/// after = residual + what the layer's heads write; z is [rows, heads, head_dim].
void write_heads(const ForwardPass& pass, std::int64_t index, const float* z, const float* residual,
                 float* after) {
  const LayerWeights& weights = pass.weights(index);
  const LayerTrace& layer = pass.trace.layer(index);
  const bool replaced = index == pass.inputs.attention_layer;
  if (replaced) z = pass.inputs.written;
  if (pass.config().post_norm) {
    pass.linear(weights.o, z, layer.attention_raw);
    add_normed(pass, replaced ? weights.head_write_gain : weights.attention_post_norm,
               layer.attention_raw, pass.trace.normed(), residual, after);
  } else {
    pass.linear(weights.o, z, after, residual);
  }
  keep_written(pass, index, z);
}

/// Reads layer.residual and writes residual + attention into `after`.
void attention_block(const ForwardPass& pass, std::int64_t index, float* after) {
  const LayerTrace& layer = pass.trace.layer(index);
  project(pass, index, layer.residual, {});
  attend(pass, index, layer);
  write_heads(pass, index, layer.z, layer.residual, after);
}

/// after = residual + the MLP of norm(x), or of x where `norm` is null; `after` may be `residual`.
void mlp_block(const ForwardPass& pass, std::int64_t index, const NormWeight* norm, const float* x,
               const float* residual, float* after) {
  const LayerTrace& layer = pass.trace.layer(index);
  const ModelConfig& config = pass.config();
  const bool sources = pass.trace.options().sources;
  if (index == pass.inputs.mlp_layer) {
    if (sources) pass.copy(pass.inputs.mlp_output, layer.mlp_out, config.hidden);
    pass.sum(residual, pass.inputs.mlp_output, after, config.hidden);
    return;
  }
  MlpForward params;
  params.weights = mlp_weights(config, pass.weights(index));
  params.weights.norm = norm;
  params.tokens = pass.rows;
  params.x = x;
  params.residual = config.post_norm ? nullptr : residual;
  params.y = config.post_norm ? layer.mlp_raw : after;
  params.out = sources && !config.post_norm ? layer.mlp_out : nullptr;
  params.gate = layer.gate;
  params.up = config.gated_mlp ? layer.up : nullptr;
  params.keep_inputs = pass.trace.options().gradients;
  params.normed = pass.trace.normed();
  params.hidden = pass.trace.hidden();
  mlp_forward(pass.context, params);
  if (!config.post_norm) return;
  add_normed(pass, pass.weights(index).mlp_post_norm, layer.mlp_raw,
             sources ? layer.mlp_out : pass.trace.normed(), residual, after);
}

void run_layer(const ForwardPass& pass, std::int64_t index) {
  const LayerWeights& weights = pass.weights(index);
  const LayerTrace& layer = pass.trace.layer(index);
  const bool last = index + 1 == pass.config().layers;
  float* next = last ? pass.trace.final_residual() : pass.trace.layer(index + 1).residual;
  if (pass.config().parallel_block) {
    pass.norm(weights.mlp_norm, layer.residual, pass.trace.normed_mlp());
    attention_block(pass, index, next);
    mlp_block(pass, index, nullptr, pass.trace.normed_mlp(), next, next);
    return;
  }
  attention_block(pass, index, layer.residual_mid);
  mlp_block(pass, index, &weights.mlp_norm, layer.residual_mid, layer.residual_mid, next);
}

/// Attention of the wanted tokens, of which `residual` is the stream, packed: q and z, packed, and
/// put in their places where they are kept.
Buffer<float> attend_wanted(const ForwardPass& all, const ForwardPass& pass,
                            const WantedTokens& wanted, std::int64_t index, const float* residual) {
  const ModelConfig& config = pass.config();
  const Context& context = pass.context;
  const LayerTrace& layer = pass.trace.layer(index);
  const std::int64_t width = config.heads * config.head_dim;
  project(pass, index, residual, {.keys_and_values = false});
  wanted.spread(context, width, layer.q);
  if (config.qk_norm && pass.trace.options().gradients) {
    wanted.spread(context, width, layer.q_raw);
  }
  attend(all, index, layer);
  Buffer<float> z = wanted.pack(context, width, layer.z);
  if (pass.trace.options().sources) {
    pass.copy(z.data(), layer.z, width);
    wanted.spread(context, width, layer.z);
  }
  return z;
}

/// The last layer with the keys and values of all tokens, and all else of the wanted ones, packed.
void run_last_layer(const ForwardPass& all, const WantedTokens& wanted) {
  const std::int64_t index = all.config().layers - 1;
  const ModelConfig& config = all.config();
  const Context& context = all.context;
  const LayerWeights& weights = all.weights(index);
  Trace& trace = all.trace;
  const LayerTrace& layer = trace.layer(index);
  project(all, index, layer.residual, {.queries = false});
  if (wanted.count() == 0) {
    if (all.inputs.pages != nullptr) attend(all, index, layer);  // stores the keys and values
    return;
  }
  ForwardInputs inputs = all.inputs;
  Buffer<float> replaced;
  if (index == inputs.mlp_layer) {
    replaced = wanted.pack(context, config.hidden, inputs.mlp_output);
    inputs.mlp_output = replaced.data();
  } else if (index == inputs.attention_layer) {
    replaced = wanted.pack(context, config.heads * config.head_dim, inputs.written);
    inputs.written = replaced.data();
  }
  const ForwardPass pass{all.engine,     all.batch,          inputs, trace,
                         wanted.count(), wanted.positions(), context};
  const Buffer<float> residual = wanted.pack(context, config.hidden, layer.residual);
  const Buffer<float> z = attend_wanted(all, pass, wanted, index, residual.data());
  float* final_residual = trace.final_residual();
  if (config.parallel_block) {
    pass.norm(weights.mlp_norm, residual.data(), trace.normed_mlp());
    write_heads(pass, index, z.data(), residual.data(), final_residual);
    mlp_block(pass, index, nullptr, trace.normed_mlp(), final_residual, final_residual);
  } else {
    write_heads(pass, index, z.data(), residual.data(), layer.residual_mid);
    mlp_block(pass, index, &weights.mlp_norm, layer.residual_mid, layer.residual_mid,
              final_residual);
  }
  if (!trace.options().sources) return;
  wanted.spread(context, config.hidden, layer.mlp_out);
  if (config.post_norm || index == inputs.attention_layer) {
    wanted.spread(context, config.heads * config.head_dim, layer.written);
  }
}

}  // namespace

KvStore make_kv_store(const Engine& engine, std::int64_t tokens) {
  const ModelConfig& config = engine.config();
  KvStore store;
  if (tokens == 0) return store;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    store.k.emplace_back(engine.context.backend, tokens * config.kv_heads * config.head_dim);
    store.v.emplace_back(engine.context.backend, tokens * config.kv_heads * config.head_dim);
  }
  return store;
}

void run_forward(const Engine& engine, const Batch& batch, const ForwardInputs& inputs,
                 Trace& trace, const RunControl& control) {
  if (batch.tokens() > trace.capacity()) {
    throw Error(ErrorCode::INTERNAL, "The forward pass was given " +
                                         std::to_string(batch.tokens()) + " tokens but planned " +
                                         std::to_string(trace.capacity()) + ".");
  }
  const std::int64_t layers = engine.config().layers;
  Context context = engine.context;
  context.decoding = inputs.decoding;
  const ForwardPass pass{engine, batch, inputs, trace, batch.tokens(), batch.positions(), context};
  if (inputs.pages != nullptr) inputs.pages->plan(engine, batch.layout());
  if (inputs.first_layer == 0) {
    embed(pass);
  } else {
    start(pass);
  }
  const std::int64_t end = inputs.end_layer < 0 ? layers : inputs.end_layer;
  for (std::int64_t layer = inputs.first_layer; layer < end; ++layer) {
    control.check();
    if (inputs.wanted != nullptr && layer + 1 == layers) {
      run_last_layer(pass, *inputs.wanted);
    } else {
      run_layer(pass, layer);
    }
  }
}

}  // namespace headspark
