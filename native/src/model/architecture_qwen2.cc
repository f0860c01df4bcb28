// Qwen2 and Qwen2.5 (transformers models/qwen2): Llama's block with biases on q, k and v.
#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

BiasRule read_qwen2_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config);
  read_qwen_windows(json, config);
  return {.qkv = true, .attention_output = false, .mlp = false};
}

}  // namespace

const ArchitectureSpec qwen2_spec = {
    .model_type = "qwen2",
    .architecture = Architecture::qwen2,
    .names = llama_names,
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .windows = true,
    .read_config = read_qwen2_config,
};

}  // namespace headspark
