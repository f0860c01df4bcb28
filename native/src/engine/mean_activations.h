// Mean outputs of all sources over the tokens of the clean prompts: the reference of mean ablation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/forward.h"
#include "headspark/pair.h"

namespace headspark {

/// Sums in double, token by token in order, so that batches cannot change a bit.
struct MeanActivations {
  std::int64_t positions = 1;         ///< 1: one mean over all positions
  std::vector<float> embedding;       ///< [hidden], over all positions
  std::vector<std::vector<float>> z;  ///< per layer [positions, heads, head_dim]
  /// Per layer [heads, head_dim] as LayerTrace::written; only where means are over all positions.
  std::vector<std::vector<float>> written;
  std::vector<std::vector<float>> mlp;  ///< per layer [hidden], over all positions
};

MeanActivations mean_activations(const Engine& engine, std::span<const Pair> pairs,
                                 bool per_position, const RunControl& control);

}  // namespace headspark
