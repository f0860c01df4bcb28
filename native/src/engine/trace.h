// The activations of one forward pass. What a later step needs is kept per layer; everything else
// shares one scratch buffer. Sized once for the largest batch of a job.
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/buffer.h"
#include "headspark/engine.h"

namespace headspark {

/// What to keep of every layer.
struct TraceOptions {
  bool sources = false;      ///< embedding, z and MLP outputs: the writes of all source nodes
  bool written = false;      ///< z as it is written, in scratch unless the sources are kept
  bool gradients = false;    ///< whatever the backward pass reads
  bool residuals = false;    ///< the residual stream entering every layer
  bool keys_values = false;  ///< k and v after rotation, for a prefix store or a cache
  bool gated = false;        ///< gates may act: keep the ungated attention output for backward
};

/// Pointers to one layer's activations; several layers may share scratch (see TraceOptions).
struct LayerTrace {
  float* residual = nullptr;  ///< [tokens, hidden] before the attention norm
  float* q_raw = nullptr;     ///< [tokens, heads, head_dim] before the q norm (Qwen3)
  float* k_raw = nullptr;     ///< [tokens, kv_heads, head_dim]
  float* q = nullptr;         ///< [tokens, heads, head_dim] after norm and rotation
  float* k = nullptr;         ///< [tokens, kv_heads, head_dim]
  float* v = nullptr;         ///< [tokens, kv_heads, head_dim]
  float* raw = nullptr;       ///< [tokens, heads, head_dim] attention output before the gate
  float* z = nullptr;         ///< [tokens, heads, head_dim] after the gate
  /// z over the scale of the norm that stands after attention, so that heads' writes are linear in
  /// it; z itself where none does.
  float* written = nullptr;
  float* lse = nullptr;            ///< [tokens, heads]
  float* residual_mid = nullptr;   ///< [tokens, hidden] before the MLP norm (sequential blocks)
  float* gate = nullptr;           ///< [tokens, intermediate] as MlpForward keeps it
  float* up = nullptr;             ///< the same, gated MLPs
  float* mlp_out = nullptr;        ///< [tokens, hidden], bias and the norm after it included
  float* attention_raw = nullptr;  ///< [tokens, hidden] before the norm that stands after it
  float* mlp_raw = nullptr;        ///< the same of the MLP
};

class Trace {
 public:
  Trace(const Engine& engine, std::int64_t max_tokens, const TraceOptions& options);

  const TraceOptions& options() const { return options_; }
  std::int64_t capacity() const { return capacity_; }
  LayerTrace& layer(std::int64_t index) { return layers_[static_cast<std::size_t>(index)]; }
  const LayerTrace& layer(std::int64_t index) const {
    return layers_[static_cast<std::size_t>(index)];
  }

  float* embedding() { return embedding_; }  ///< [tokens, hidden]
  const float* embedding() const { return embedding_; }
  float* final_residual() { return final_residual_; }  ///< [tokens, hidden] before the final norm
  const float* final_residual() const { return final_residual_; }

  float* normed() { return normed_; }          ///< scratch [tokens, hidden]
  float* normed_mlp() { return normed_mlp_; }  ///< scratch [tokens, hidden], parallel blocks
  float* hidden() { return hidden_; }          ///< scratch [tokens, intermediate]

  /// fp32 values that one token takes; the engine plans its batches with it.
  static std::int64_t floats_per_token(const Engine& engine, const TraceOptions& options);

 private:
  float* allocate(std::int64_t width);

  TraceOptions options_;
  std::int64_t capacity_ = 0;
  std::shared_ptr<Backend> backend_;
  std::vector<Buffer<float>> storage_;
  std::vector<LayerTrace> layers_;
  float* embedding_ = nullptr;
  float* final_residual_ = nullptr;
  float* normed_ = nullptr;
  float* normed_mlp_ = nullptr;
  float* hidden_ = nullptr;
};

}  // namespace headspark
