// Llama 2 and 3 and what has their shape (transformers models/llama).
#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

BiasRule read_llama_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config);
  return read_biases(json);
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
