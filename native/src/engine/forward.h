// The forward pass of a batch through all layers, with the interventions the methods need.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/batch.h"
#include "engine/rotary_tables.h"
#include "engine/trace.h"
#include "engine/wanted_tokens.h"
#include "headspark/engine.h"
#include "headspark/head_gate.h"
#include "headspark/ops/attention.h"

namespace headspark {

class PagedBatch;

/// Stored keys and values of every layer, [tokens, kv_heads, head_dim].
struct KvStore {
  std::vector<Buffer<float>> k;
  std::vector<Buffer<float>> v;

  bool empty() const { return k.empty(); }
};

KvStore make_kv_store(const Engine& engine, std::int64_t tokens);

/// What differs from a plain pass. All pointers are device memory laid out like the batch.
struct ForwardInputs {
  const float* embeddings = nullptr;      ///< [tokens, hidden] instead of the token embeddings
  std::vector<HeadGate> gates = {};       ///< one per layer, or empty
  std::int64_t mlp_layer = -1;            ///< layer whose MLP output is replaced, or -1
  const float* mlp_output = nullptr;      ///< [tokens, hidden] its replacement
  std::int64_t attention_layer = -1;      ///< layer whose heads' writes are replaced, or -1
  const float* written = nullptr;         ///< [tokens, heads, head_dim] see LayerTrace::written
  const KvStore* prefix = nullptr;        ///< keys and values that rows continue
  const RotaryTables* rotary = nullptr;   ///< cover every position of the batch
  std::int64_t first_layer = 0;           ///< start here, from start_residual
  const float* start_residual = nullptr;  ///< [tokens, hidden] entering first_layer
  /// Stop before this layer, leaving its residual in the trace; -1: run all layers.
  std::int64_t end_layer = -1;
  const PagedBatch* pages = nullptr;  ///< keys and values go to and come from pages, not `prefix`
  /// Tokens whose final residual stream is read; null: all. In the last layer the others are keys
  /// and values only, and these activations are packed (see WantedTokens): residual_mid, gate, up
  /// and final_residual. q, z and mlp_out, where kept, are 0 at the others.
  const WantedTokens* wanted = nullptr;
  bool decoding = false;  ///< see Context

  /// Whether queries and keys of a layer are rotated.
  bool rotates(const ModelConfig& config, std::int64_t layer) const {
    return rotary != nullptr && rotary->of(config, layer).pairs > 0 && config.rotates(layer);
  }
};

/// The attention of a layer; `kv_heads` may be others than the model's.
inline AttentionShape attention_shape(const ModelConfig& config, std::int64_t layer,
                                      std::int64_t kv_heads) {
  return {config.heads, kv_heads, config.head_dim, config.attention_scale, config.window_of(layer)};
}
inline AttentionShape attention_shape(const ModelConfig& config, std::int64_t layer) {
  return attention_shape(config, layer, config.kv_heads);
}

/// Rows of the batch as the attention of a layer sees them.
inline RowLayout attention_layout(const ModelConfig& config, const Batch& batch,
                                  const ForwardInputs& inputs, std::int64_t layer) {
  RowLayout layout = batch.layout();
  if (inputs.wanted != nullptr && layer + 1 == config.layers) {
    layout.first_query = inputs.wanted->first_query();
  }
  return layout;
}

/// The attention operands that both directions share: shape, rows, stored prefix and gate of one
/// layer. `Params` is AttentionForward or AttentionBackward.
template <typename Params>
void set_attention_inputs(const ModelConfig& config, const Batch& batch,
                          const ForwardInputs& inputs, std::int64_t layer, Params& params) {
  const auto index = static_cast<std::size_t>(layer);
  params.shape = attention_shape(config, layer);
  params.layout = attention_layout(config, batch, inputs, layer);
  if (inputs.prefix != nullptr && !inputs.prefix->empty()) {
    params.prefix_k = inputs.prefix->k[index].data();
    params.prefix_v = inputs.prefix->v[index].data();
  }
  // The line that gates a head: attention multiplies by this where it writes z.
  if (!inputs.gates.empty()) params.gate = inputs.gates[index];
}

/// Fills `trace` up to final_residual, or up to the residual stream entering end_layer. The batch
/// must fit the trace.
void run_forward(const Engine& engine, const Batch& batch, const ForwardInputs& inputs,
                 Trace& trace, const RunControl& control);

}  // namespace headspark
