// GPT-2 (transformers models/gpt2): learned positions, LayerNorm, Conv1D weights stored [in, out],
// q, k and v as column blocks of c_attn.
#include "model/config_json.h"

namespace headspark {
namespace {

void refuse_variants(const JsonObject& json) {
  for (const char* key : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"}) {
    if (json.boolean(key).value_or(false)) {
      json.fail(std::string("\"") + key + "\": true is not supported");
    }
  }
}

BiasRule read_gpt2_config(const JsonObject& json, ModelConfig& config) {
  refuse_variants(json);
  config.layers = json.size("n_layer", SizeLimits::layers);
  config.heads = json.size("n_head", SizeLimits::heads);
  config.kv_heads = config.heads;
  config.hidden = json.size("n_embd", SizeLimits::width);
  if (config.hidden % config.heads != 0) json.fail("\"n_embd\" is not a multiple of \"n_head\"");
  config.head_dim = config.hidden / config.heads;
  config.intermediate = json.size_or("n_inner", SizeLimits::width, 4 * config.hidden);
  config.vocab = json.size("vocab_size", SizeLimits::vocab);
  config.max_positions = json.size("n_positions", SizeLimits::positions);
  config.norm = NormKind::layer;
  config.norm_epsilon = static_cast<float>(json.number("layer_norm_epsilon").value_or(1e-5));
  config.activation = read_activation(json, "activation_function", "gelu_new");
  config.gated_mlp = false;
  config.learned_positions = true;
  config.tied_embeddings = json.boolean("tie_word_embeddings").value_or(true);
  const bool scaled = json.boolean("scale_attn_weights").value_or(true);
  config.attention_scale = scaled ? attention_scale(config) : 1.0f;
  return {.qkv = true, .attention_output = true, .mlp = true};
}

}  // namespace

const ArchitectureSpec gpt2_spec = {
    .model_type = "gpt2",
    .architecture = Architecture::gpt2,
    .names = {.prefix = "transformer.",
              .layers = "h.",
              .embedding = "wte",
              .position_embedding = "wpe",
              .final_norm = "ln_f",
              .unembedding = "lm_head",
              .attention_norm = "ln_1",
              .mlp_norm = "ln_2",
              .attention_post_norm = nullptr,
              .mlp_post_norm = nullptr,
              .q_norm = nullptr,
              .k_norm = nullptr,
              .q = nullptr,
              .k = nullptr,
              .v = nullptr,
              .qkv = "attn.c_attn",
              .o = "attn.c_proj",
              .gate = nullptr,
              .up = "mlp.c_fc",
              .gate_up = nullptr,
              .down = "mlp.c_proj"},
    .layout = WeightLayout::in_out,
    .fused_qkv = FusedQkv::blocks,
    .read_config = read_gpt2_config,
};

}  // namespace headspark
