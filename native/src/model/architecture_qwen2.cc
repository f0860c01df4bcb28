// Qwen2 and Qwen2.5 (transformers models/qwen2): Llama's block with biases on q, k and v.
#include "model/config_json.h"

namespace headspark {
namespace {

BiasRule read_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config);
  return {.qkv = true, .attention_output = false, .mlp = false};
}

}  // namespace

const ArchitectureSpec qwen2_spec = {
    .model_type = "qwen2",
    .architecture = Architecture::qwen2,
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
