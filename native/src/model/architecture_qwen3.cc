// Qwen3 (transformers models/qwen3): RMS norms on the heads of q and k, head_dim apart from
// hidden / heads.
#include "model/config_json.h"

namespace headspark {
namespace {

BiasRule read_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 128, config);  // 128: the default of Qwen3Config
  config.qk_norm = true;
  const bool bias = json.boolean("attention_bias").value_or(false);
  return {.qkv = bias, .attention_output = bias, .mlp = false};
}

}  // namespace

const ArchitectureSpec qwen3_spec = {
    .model_type = "qwen3",
    .architecture = Architecture::qwen3,
    .names = {.prefix = "model.",
              .layers = "layers.",
              .embedding = "embed_tokens",
              .position_embedding = nullptr,
              .final_norm = "norm",
              .unembedding = "lm_head",
              .attention_norm = "input_layernorm",
              .mlp_norm = "post_attention_layernorm",
              .q_norm = "self_attn.q_norm",
              .k_norm = "self_attn.k_norm",
              .q = "self_attn.q_proj",
              .k = "self_attn.k_proj",
              .v = "self_attn.v_proj",
              .qkv = nullptr,
              .o = "self_attn.o_proj",
              .gate = "mlp.gate_proj",
              .up = "mlp.up_proj",
              .down = "mlp.down_proj"},
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .read_config = read_config,
};

}  // namespace headspark
