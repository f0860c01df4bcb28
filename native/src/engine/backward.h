// Gradients of a scalar with respect to activations, layer by layer from the logits down. Weights
// never get gradients. What each destination node reads is shown to a sink.
#pragma once

#include <cstdint>

#include "engine/forward.h"

namespace headspark {

enum class HeadInput { q, k, v };

/// Receives the gradient at the input of every destination: at the residual stream before the
/// destination's norm, through that norm's Jacobian at the current point. Arrays are device memory
/// [tokens of the batch, hidden], valid during the call only.
class GradientSink {
 public:
  virtual ~GradientSink() = default;
  virtual void logits_input(const float* d_input) = 0;
  virtual void mlp_input(std::int64_t layer, const float* d_input) = 0;
  /// The batch is this many copies of the same rows, one after the other.
  virtual std::int64_t copies() const = 0;
  /// Where the gradients at the inputs of a layer's q, k or v go, summed over copies: [heads,
  /// tokens of one copy, hidden], overwritten. Heads are key/value heads for k and v when kv edges
  /// are grouped.
  virtual float* head_inputs(std::int64_t layer, HeadInput which) = 0;
  /// HeadInputBackward::type of these.
  virtual DType head_inputs_type() const { return DType::f32; }
  /// All destinations of a layer's attention are there.
  virtual void attention_done(std::int64_t layer) = 0;
  virtual bool grouped_kv() const = 0;
};

/// Buffers of the backward pass, for at most `max_tokens` tokens.
class BackwardWorkspace {
 public:
  BackwardWorkspace(const Engine& engine, std::int64_t max_tokens);
  static std::int64_t floats_per_token(const Engine& engine);

  Buffer<float> d_residual;  ///< [tokens, hidden]; the caller sets it to the gradient at the end
  /// [tokens, hidden] at the block's output (parallel blocks) or at a branch's, before the norm
  /// that stands after it
  Buffer<float> d_out;
  Buffer<float> d_normed;     ///< [tokens, hidden]
  Buffer<float> d_input;      ///< [tokens, hidden]
  Buffer<float> projected_q;  ///< [tokens, heads, head_dim] before rotation
  Buffer<float> projected_k;  ///< [tokens, kv_heads, head_dim] before rotation
  Buffer<float> k_each;       ///< [tokens, heads, head_dim] k before a norm of all heads together
  Buffer<float> d_hidden;     ///< [tokens, intermediate] as MlpBackward has it
  Buffer<float> d_up;         ///< [tokens, intermediate]
  Buffer<float> d_z;          ///< [tokens, heads, head_dim]
  Buffer<float> d_q;          ///< [tokens, heads, head_dim]
  Buffer<float> d_k;          ///< [tokens, heads, head_dim], per query head
  Buffer<float> d_v;          ///< [tokens, heads, head_dim], per query head
  Buffer<float> d_k_group;    ///< [tokens, kv_heads, head_dim]
  Buffer<float> d_v_group;    ///< [tokens, kv_heads, head_dim]
};

/// workspace.d_residual holds the gradient at the final residual stream (before the final norm) on
/// entry, packed where inputs.wanted is set, and at the embedding on return. The trace must have
/// been kept with `gradients` by a forward pass with the same batch and inputs.
void run_backward(const Engine& engine, const Batch& batch, const ForwardInputs& inputs,
                  const Trace& trace, BackwardWorkspace& workspace, GradientSink& sink,
                  const RunControl& control);

}  // namespace headspark
