// OLMo 3 (transformers models/olmo3, arXiv 2512.13961): OLMo 2 with a sliding window in three of
// four layers, which rotate without the scaling of the others (some releases of transformers 5
// scale them as well, by mistake: huggingface/transformers#45945; 5.18 turns them by OLMo 3's own
// base where an older file's "rope_theta" is another, which no published model has).
#include "model/layer_rope.h"
#include "model/olmo_names.h"

namespace headspark {
namespace {

// Olmo3Config's, where keys are missing.
constexpr double kBase = 500000.0;
constexpr std::int64_t kWindow = 4096;
constexpr std::int64_t kFullInterval = 4;  // every fourth layer sees all

/// Where "layer_types" is missing.
std::vector<std::uint8_t> usual_windows(const ModelConfig& config) {
  std::vector<std::uint8_t> windowed;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    windowed.push_back((layer + 1) % kFullInterval != 0 ? 1 : 0);
  }
  return windowed;
}

BiasRule read_olmo3_config(const JsonObject& given, ModelConfig& config) {
  const LayerRope rope = split_rope(given);
  const JsonObject json(rope.config, given.source(), ErrorCode::CONFIG);
  const BiasRule biases = read_olmo_config(json, {.theta = kBase}, config);
  if (rope.by_layer && rope.window_theta.value_or(kBase) != config.rotary.theta) {
    json.fail("\"rope_theta\" must be the same in all layers");
  }
  std::vector<std::uint8_t> windowed = windowed_layers(json, config, usual_windows(config));
  read_window(json, kWindow, windowed, config);
  if (!any_layer(windowed) || config.rotary.scaling == RotaryScaling::none) return biases;
  config.unscaled = std::move(windowed);
  return biases;
}

}  // namespace

const ArchitectureSpec olmo3_spec = {
    .model_type = "olmo3",
    .architecture = Architecture::olmo3,
    .names = olmo_names(),
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .windows = true,
    .read_config = read_olmo3_config,
};

}  // namespace headspark
