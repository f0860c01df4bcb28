// What OLMo 2 and OLMo 3 have in common: Llama's block with its norms after attention and MLP
// instead of before, and one norm over all heads of q, and of k.
#pragma once

#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {

constexpr ModuleNames olmo_names() {
  ModuleNames names = llama_names_with_head_norms();
  names.attention_norm = nullptr;
  names.mlp_norm = nullptr;
  names.attention_post_norm = "post_attention_layernorm";
  names.mlp_post_norm = "post_feedforward_layernorm";
  return names;
}

inline BiasRule read_olmo_config(const JsonObject& json, const RotaryDefaults& rotary,
                                 ModelConfig& config) {
  read_decoder_config(json, 0, config, rotary);
  config.norm_epsilon = static_cast<float>(json.number("rms_norm_eps").value_or(1e-5));
  config.qk_norm = true;
  config.qk_norm_together = true;
  config.pre_norm = false;
  config.post_norm = true;
  // A bias of the output projection goes through the norm after it, so that no head's write has it
  // and yet it is not the same in two runs. Nobody has published such a model.
  if (json.boolean("attention_bias").value_or(false)) {
    json.fail("\"attention_bias\": true is not supported for " + config.model_type);
  }
  return {};
}

}  // namespace headspark
