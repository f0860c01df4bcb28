// One width serves all layers, since traces share the room of what they do not keep.
#include "engine/mlp_weights.h"

#include <algorithm>

namespace headspark {

MlpWeights mlp_weights(const ModelConfig& config, const LayerWeights& weights) {
  return {&weights.mlp_norm, config.gated_mlp ? &weights.gate : nullptr, &weights.up, &weights.down,
          config.activation};
}

std::int64_t mlp_kept_width(const Engine& engine) {
  const ModelConfig& config = engine.config();
  const std::vector<LayerWeights>& layers = engine.model->layers;
  const bool narrow = std::all_of(layers.begin(), layers.end(), [&](const LayerWeights& layer) {
    return mlp_keeps_bf16(engine.context, mlp_weights(config, layer));
  });
  return floats_for(config.intermediate, narrow ? DType::bf16 : DType::f32);
}

}  // namespace headspark
