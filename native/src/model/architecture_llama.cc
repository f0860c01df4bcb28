// Llama 2 and 3 and what has their shape (transformers models/llama).
#include "model/config_json.h"

namespace headspark {
namespace {

BiasRule read_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config);
  const bool bias = json.boolean("attention_bias").value_or(false);
  const bool mlp_bias = json.boolean("mlp_bias").value_or(false);
  return {.qkv = bias, .attention_output = bias, .mlp = mlp_bias};
}

}  // namespace

const ArchitectureSpec llama_spec = {
    .model_type = "llama",
    .architecture = Architecture::llama,
    .names = {.prefix = "model.",
              .layers = "layers.",
              .embedding = "embed_tokens",
              .position_embedding = nullptr,
              .final_norm = "norm",
              .unembedding = "lm_head",
              .attention_norm = "input_layernorm",
              .mlp_norm = "post_attention_layernorm",
              .q_norm = nullptr,
              .k_norm = nullptr,
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
