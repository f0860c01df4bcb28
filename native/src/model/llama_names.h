// The module names of Llama's block, which Mistral, Qwen2 and Qwen3 kept.
#pragma once

#include "model/architecture.h"

namespace headspark {

inline constexpr ModuleNames llama_names = {.prefix = "model.",
                                            .layers = "layers.",
                                            .embedding = "embed_tokens",
                                            .position_embedding = nullptr,
                                            .final_norm = "norm",
                                            .unembedding = "lm_head",
                                            .attention_norm = "input_layernorm",
                                            .mlp_norm = "post_attention_layernorm",
                                            .attention_post_norm = nullptr,
                                            .mlp_post_norm = nullptr,
                                            .q_norm = nullptr,
                                            .k_norm = nullptr,
                                            .q = "self_attn.q_proj",
                                            .k = "self_attn.k_proj",
                                            .v = "self_attn.v_proj",
                                            .qkv = nullptr,
                                            .o = "self_attn.o_proj",
                                            .gate = "mlp.gate_proj",
                                            .up = "mlp.up_proj",
                                            .gate_up = nullptr,
                                            .down = "mlp.down_proj"};

/// The same with norms on the heads of q and k.
constexpr ModuleNames llama_names_with_head_norms() {
  ModuleNames names = llama_names;
  names.q_norm = "self_attn.q_norm";
  names.k_norm = "self_attn.k_norm";
  return names;
}

}  // namespace headspark
