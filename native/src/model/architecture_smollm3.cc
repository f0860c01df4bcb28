// SmolLM3 (transformers models/smollm3): Llama's block, where queries and keys of some layers are
// not rotated (NoPE, arXiv 2501.18795).
#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

// SmolLM3Config's, where keys are missing. That the embeddings are tied is left out of files.
constexpr double kTheta = 2000000.0;
constexpr std::int64_t kInterval = 4;

/// "no_rope_layers" has a 1 for every layer that rotates and a 0 for every one that does not.
std::vector<std::uint8_t> listed_layers(const JsonObject& json, const nlohmann::json& list,
                                        std::int64_t layers) {
  if (!list.is_array() || static_cast<std::int64_t>(list.size()) < layers) {
    json.fail("\"no_rope_layers\" must have a 0 or 1 for each of the " + std::to_string(layers) +
              " layers");
  }
  std::vector<std::uint8_t> unrotated;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    const nlohmann::json& rotates = list[static_cast<std::size_t>(layer)];
    if (rotates != 0 && rotates != 1) {
      json.fail("\"no_rope_layers\" may only have 0 and 1, not " + quote(rotates.dump()));
    }
    unrotated.push_back(rotates == 0 ? 1 : 0);
  }
  return unrotated;
}

std::vector<std::uint8_t> unrotated_layers(const JsonObject& json, std::int64_t layers) {
  if (const nlohmann::json* list = json.find("no_rope_layers")) {
    return listed_layers(json, *list, layers);
  }
  const std::int64_t interval =
      json.size_or("no_rope_layer_interval", SizeLimits::layers, kInterval);
  std::vector<std::uint8_t> unrotated;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    unrotated.push_back((layer + 1) % interval == 0 ? 1 : 0);
  }
  return unrotated;
}

BiasRule read_smollm3_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config, {.theta = kTheta});
  config.tied_embeddings = json.boolean("tie_word_embeddings").value_or(true);
  config.unrotated = unrotated_layers(json, config.layers);
  if (uses_windows(json, config)) {
    read_window(json, std::nullopt, windowed_layers(json, config, config.unrotated), config);
  }
  return read_biases(json);
}

}  // namespace

const ArchitectureSpec smollm3_spec = {
    .model_type = "smollm3",
    .architecture = Architecture::smollm3,
    .names = llama_names,
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .windows = true,
    .read_config = read_smollm3_config,
};

}  // namespace headspark
