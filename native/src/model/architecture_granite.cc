// Granite 3 (transformers models/granite): Llama's block with factors on embeddings, on scores, on
// what attention and MLP add to the stream, and under the logits.
#include <cmath>

#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

double granite_factor(const JsonObject& json, const char* key) {
  const double value = json.number(key).value_or(1.0);
  if (!(value > 0.0) || !std::isfinite(static_cast<float>(value))) {
    json.fail(std::string("\"") + key + "\" must be above 0");
  }
  return value;
}

BiasRule read_granite_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config);
  config.embedding_scale = static_cast<float>(granite_factor(json, "embedding_multiplier"));
  config.residual_scale = static_cast<float>(granite_factor(json, "residual_multiplier"));
  config.post_norm = config.residual_scale != 1.0f;
  config.logits_divisor = static_cast<float>(granite_factor(json, "logits_scaling"));
  config.query_scale = granite_factor(json, "attention_multiplier");
  config.attention_scale = attention_scale(config);
  const BiasRule biases = read_biases(json);
  // A bias of the output projection would go through the factor after it. Nobody has published
  // such a model.
  if (biases.attention_output && config.post_norm) {
    json.fail("\"attention_bias\": true with a \"residual_multiplier\" is not supported");
  }
  return biases;
}

}  // namespace

const ArchitectureSpec granite_spec = {
    .model_type = "granite",
    .architecture = Architecture::granite,
    .names = llama_names,
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .read_config = read_granite_config,
};

}  // namespace headspark
