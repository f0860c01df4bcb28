// Mistral (transformers models/mistral): Llama's block without biases, and a sliding window in all
// layers of v0.1 (arXiv 2310.06825).
#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

constexpr std::int64_t kDefaultWindow = 4096;  // MistralConfig's, where the key is missing

BiasRule read_mistral_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config);
  read_window(json, kDefaultWindow, every_layer(config), config);
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
