// What the edges outside a circuit carry, as activations: the corrupted run's, means, or nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/mean_activations.h"
#include "engine/pair_block.h"

namespace headspark {

/// A row for each of `tokens` tokens, [tokens, width].
Buffer<float> repeat_row(const Engine& engine, const std::vector<float>& row, std::int64_t tokens);

class ReferenceRun {
 public:
  /// Nothing: zero ablation.
  ReferenceRun() = default;
  /// The corrupted run of a block, which must outlive it.
  ReferenceRun(const Engine& engine, PairBlock& corrupted);
  /// The same means, over all positions, for `tokens` tokens.
  ReferenceRun(const Engine& engine, const MeanActivations& means, std::int64_t tokens);

  bool empty() const { return embedding_ == nullptr; }
  const float* embedding() const { return embedding_; }  ///< [tokens, hidden]
  /// [tokens, heads, head_dim] of a layer, as LayerTrace::written
  const float* written(std::int64_t layer) const {
    return written_[static_cast<std::size_t>(layer)];
  }
  /// [tokens, hidden] of a layer, bias included
  const float* mlp(std::int64_t layer) const { return mlp_[static_cast<std::size_t>(layer)]; }

 private:
  std::vector<Buffer<float>> means_;
  const float* embedding_ = nullptr;
  std::vector<const float*> written_;
  std::vector<const float*> mlp_;
};

}  // namespace headspark
