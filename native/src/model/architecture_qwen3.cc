// Qwen3 (transformers models/qwen3): RMS norms on the heads of q and k, head_dim apart from
// hidden / heads.
#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

BiasRule read_qwen3_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 128, config);  // 128: the default of Qwen3Config
  read_qwen_windows(json, config);
  config.qk_norm = true;
  const bool bias = json.boolean("attention_bias").value_or(false);
  return {.qkv = bias, .attention_output = bias, .mlp = false};
}

}  // namespace

const ArchitectureSpec qwen3_spec = {
    .model_type = "qwen3",
    .architecture = Architecture::qwen3,
    .names = llama_names_with_head_norms(),
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .windows = true,
    .read_config = read_qwen3_config,
};

}  // namespace headspark
