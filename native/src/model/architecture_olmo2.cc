// OLMo 2 (transformers models/olmo2, arXiv 2501.00656): Llama's block with its norms after
// attention and MLP instead of before, and one norm over all heads of q, and of k.
#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

constexpr ModuleNames olmo2_names() {
  ModuleNames names = llama_names_with_head_norms();
  names.attention_norm = nullptr;
  names.mlp_norm = nullptr;
  names.attention_post_norm = "post_attention_layernorm";
  names.mlp_post_norm = "post_feedforward_layernorm";
  return names;
}

BiasRule read_olmo2_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config);
  config.norm_epsilon = static_cast<float>(json.number("rms_norm_eps").value_or(1e-5));
  config.qk_norm = true;
  config.post_norm = true;
  // A bias of the output projection goes through the norm after it, so that no head's write has it
  // and yet it is not the same in two runs. Nobody has published such a model.
  if (json.boolean("attention_bias").value_or(false)) {
    json.fail("\"attention_bias\": true is not supported for olmo2");
  }
  return {};
}

}  // namespace

const ArchitectureSpec olmo2_spec = {
    .model_type = "olmo2",
    .architecture = Architecture::olmo2,
    .names = olmo2_names(),
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .read_config = read_olmo2_config,
};

}  // namespace headspark
