// Llama 2 and 3 and what has their shape (transformers models/llama).
#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

BiasRule read_llama_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config);
  const bool bias = json.boolean("attention_bias").value_or(false);
  const bool mlp_bias = json.boolean("mlp_bias").value_or(false);
  return {.qkv = bias, .attention_output = bias, .mlp = mlp_bias};
}

}  // namespace

const ArchitectureSpec llama_spec = {
    .model_type = "llama",
    .architecture = Architecture::llama,
    .names = llama_names,
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .read_config = read_llama_config,
};

}  // namespace headspark
