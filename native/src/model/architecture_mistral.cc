// Mistral (transformers models/mistral): Llama's block without biases. Where a window of positions
// is attended to (v0.1), prompts may be as long as the window, within which it changes nothing.
#include <algorithm>

#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

constexpr std::int64_t kDefaultWindow = 4096;  // MistralConfig's, where the key is missing

BiasRule read_mistral_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config);
  const bool unbounded = json.json().contains("sliding_window") && !json.has("sliding_window");
  if (!unbounded) {
    const std::int64_t window =
        json.size_or("sliding_window", SizeLimits::positions, kDefaultWindow);
    config.max_positions = std::min(config.max_positions, window);
  }
  return {.qkv = false, .attention_output = false, .mlp = false};
}

}  // namespace

const ArchitectureSpec mistral_spec = {
    .model_type = "mistral",
    .architecture = Architecture::mistral,
    .names = llama_names,
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .read_config = read_mistral_config,
};

}  // namespace headspark
