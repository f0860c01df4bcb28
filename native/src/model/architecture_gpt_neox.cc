// GPT-NeoX and Pythia (transformers models/gpt_neox): LayerNorm, parallel block, rotary embedding
// on a part of each head, q, k and v interleaved per head in query_key_value.
#include "model/config_json.h"

namespace headspark {
namespace {

BiasRule read_gpt_neox_config(const JsonObject& json, ModelConfig& config) {
  config.layers = json.size("num_hidden_layers", SizeLimits::layers);
  config.heads = json.size("num_attention_heads", SizeLimits::heads);
  config.kv_heads = config.heads;
  config.hidden = json.size("hidden_size", SizeLimits::width);
  if (config.hidden % config.heads != 0) {
    json.fail("\"hidden_size\" is not a multiple of \"num_attention_heads\"");
  }
  config.head_dim = config.hidden / config.heads;
  config.intermediate = json.size("intermediate_size", SizeLimits::width);
  config.vocab = json.size("vocab_size", SizeLimits::vocab);
  config.max_positions = json.size("max_position_embeddings", SizeLimits::positions);
  config.norm = NormKind::layer;
  config.norm_epsilon = static_cast<float>(json.number("layer_norm_eps").value_or(1e-5));
  config.activation = read_activation(json, "hidden_act", "gelu");
  config.gated_mlp = false;
  config.parallel_block = json.boolean("use_parallel_residual").value_or(true);
  config.tied_embeddings = json.boolean("tie_word_embeddings").value_or(false);
  read_rotary(json, {.partial_factor = 0.25, .partial_allowed = true}, config);
  const bool bias = json.boolean("attention_bias").value_or(true);
  return {.qkv = bias, .attention_output = bias, .mlp = true};
}

}  // namespace

const ArchitectureSpec gpt_neox_spec = {
    .model_type = "gpt_neox",
    .architecture = Architecture::gpt_neox,
    .names = {.prefix = "gpt_neox.",
              .layers = "layers.",
              .embedding = "embed_in",
              .position_embedding = nullptr,
              .final_norm = "final_layer_norm",
              .unembedding = "embed_out",
              .attention_norm = "input_layernorm",
              .mlp_norm = "post_attention_layernorm",
              .attention_post_norm = nullptr,
              .mlp_post_norm = nullptr,
              .q_norm = nullptr,
              .k_norm = nullptr,
              .q = nullptr,
              .k = nullptr,
              .v = nullptr,
              .qkv = "attention.query_key_value",
              .o = "attention.dense",
              .gate = nullptr,
              .up = "mlp.dense_h_to_4h",
              .gate_up = nullptr,
              .down = "mlp.dense_4h_to_h"},
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::per_head,
    .read_config = read_gpt_neox_config,
};

}  // namespace headspark
