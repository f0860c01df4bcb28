// Rows of the residual stream through the final norm and the unembedding, and back.
#pragma once

#include <cstdint>
#include <span>

#include "headspark/buffer.h"
#include "headspark/engine.h"

namespace headspark {

class OutputRows {
 public:
  /// Of these tokens of a batch.
  OutputRows(const Engine& engine, std::span<const std::int32_t> tokens);

  std::int32_t count() const { return count_; }
  /// logits [count, vocab] from final_residual [batch tokens, hidden].
  void forward(const float* final_residual, float* logits);
  /// After forward: adds to d_final_residual [batch tokens, hidden].
  void backward(const float* d_logits, float* d_final_residual);

  /// What the unembedding reads, [count, hidden], from final_residual: half of forward.
  const float* norm(const float* final_residual);
  /// Where backward_norm takes the gradient of norm()'s rows from, in their place.
  float* d_normed() { return normed_.data(); }
  /// After norm: adds to d_final_residual.
  void backward_norm(float* d_final_residual);

 private:
  const Engine& engine_;
  std::int32_t count_;
  Buffer<std::int32_t> token_;
  Buffer<float> residual_;  ///< [count, hidden]
  Buffer<float> normed_;    ///< [count, hidden]
};

/// logits [tokens, vocab] of these tokens of a batch, on the device.
void run_logits(const Engine& engine, const float* final_residual,
                std::span<const std::int32_t> tokens, float* logits);

/// The same for the host. Every logit is written.
void run_logits_to_host(const Engine& engine, const float* final_residual,
                        std::span<const std::int32_t> tokens, float* logits);

}  // namespace headspark
