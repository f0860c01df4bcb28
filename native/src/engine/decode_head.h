// From residual streams to sampled tokens: final norm, unembedding and draw, only for the rows that
// want a token. Logits stay on the device; per row 8 bytes come back, and what says how to draw
// (48 bytes, and with a repetition penalty the tokens seen) goes there. What lies between is work
// that a device may repeat.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/block_copies.h"
#include "engine/growing_buffer.h"
#include "headspark/engine.h"
#include "ops/sampling.h"

namespace headspark {

class DecodeHead {
 public:
  /// For up to `most_rows` rows at once.
  DecodeHead(const Engine& engine, std::int64_t most_rows);

  static std::int64_t workspace_bytes(const Engine& engine, std::int64_t most_rows);

  /// [i]: the token after the residual stream at residuals[i] [hidden], drawn as draws[i] says.
  std::vector<DrawnToken> sample(std::span<const float* const> residuals,
                                 std::span<const TokenDraw> draws);

  RepeatCounts counts() const;

 private:
  void sample_chunk(std::span<const float* const> residuals, std::span<const TokenDraw> draws,
                    DrawnToken* drawn);
  void describe(std::span<const TokenDraw> draws, std::int64_t padded);
  void add_inputs(std::span<const float* const> residuals, std::int64_t padded);
  void draw(std::int64_t rows, DrawnToken* drawn);

  const Engine& engine_;
  std::int64_t rows_;  // of a chunk, at most
  std::unique_ptr<RepeatedWork> work_;
  GrowingBuffer<float> input_;
  GrowingBuffer<float> logits_;
  GrowingBuffer<RowDraw> draws_;
  GrowingBuffer<std::int32_t> seen_;
  GrowingBuffer<DrawnToken> drawn_;
  BlockCopies copies_;
  std::vector<RowDraw> host_draws_;
  std::vector<std::int32_t> host_seen_;
};

}  // namespace headspark
