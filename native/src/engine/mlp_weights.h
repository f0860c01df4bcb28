// A layer's MLP as the op sees it.
#pragma once

#include "headspark/engine.h"
#include "headspark/ops/mlp.h"

namespace headspark {

/// The MLP of a layer with its norm.
MlpWeights mlp_weights(const ModelConfig& config, const LayerWeights& weights);
/// Floats that a token's row of LayerTrace::gate or ::up takes, in any layer (mlp_keeps_bf16).
std::int64_t mlp_kept_width(const Engine& engine);

}  // namespace headspark
