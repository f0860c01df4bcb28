// From residual streams to sampled tokens: final norm, unembedding and draw, only for the rows that
// want a token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/block_copies.h"
#include "engine/growing_buffer.h"
#include "engine/sampling.h"
#include "headspark/engine.h"

namespace headspark {

class DecodeHead {
 public:
  explicit DecodeHead(const Engine& engine);

  /// Logits rows are computed this many at a time.
  static constexpr std::int64_t kRows = 64;
  static std::int64_t workspace_bytes(const ModelConfig& config);

  /// [i]: the token after the residual stream at residuals[i] [hidden], drawn as draws[i] says.
  std::vector<DrawnToken> sample(std::span<const float* const> residuals,
                                 std::span<const TokenDraw> draws);

 private:
  void sample_chunk(std::span<const float* const> residuals, std::span<const TokenDraw> draws,
                    DrawnToken* drawn);

  const Engine& engine_;
  GrowingBuffer<float> input_;
  GrowingBuffer<float> logits_;
  BlockCopies copies_;
  std::vector<float> host_;  // off the CPU
};

}  // namespace headspark
