// What one architecture is: how its config.json reads and what its tensors are called. A new one is
// one file with a spec and one line in architecture.cc.
#pragma once

#include <string>

#include "headspark/model.h"
#include "model/json_input.h"

namespace headspark {

enum class WeightLayout { out_in, in_out };  // in_out: GPT-2's Conv1D

/// How one stored matrix holds q, k and v.
enum class FusedQkv {
  none,
  blocks,    ///< rows q | k | v (GPT-2, Phi-3)
  per_head,  ///< rows [heads, (q, k, v), head_dim] (GPT-NeoX)
};

/// Which linear layers have biases.
struct BiasRule {
  bool qkv = false;
  bool attention_output = false;
  bool mlp = false;
};

/// Module names; a tensor is prefix + layers + "<l>." + module + ".weight". Null: there is none.
struct ModuleNames {
  const char* prefix;  ///< of everything but the unembedding; a file may lack it throughout
  const char* layers;
  const char* embedding;
  const char* position_embedding;
  const char* final_norm;
  const char* unembedding;
  const char* attention_norm;
  const char* mlp_norm;
  const char* attention_post_norm;
  const char* mlp_post_norm;
  const char* q_norm;
  const char* k_norm;
  const char* q;
  const char* k;
  const char* v;
  const char* qkv;  ///< instead of q, k and v
  const char* o;
  const char* gate;
  const char* up;
  const char* gate_up;  ///< instead of gate and up: rows gate | up
  const char* down;
};

struct ArchitectureSpec {
  const char* model_type;
  Architecture architecture;
  ModuleNames names;
  WeightLayout layout;
  FusedQkv fused_qkv;
  bool windows = false;                ///< reads "layer_types" with sliding windows
  float norm_offset = 0.0f;            ///< what a norm's weights are stored without (Gemma: 1)
  const char* other_prefix = nullptr;  ///< of tensors, instead of names.prefix, in some files
  const char* model_class = nullptr;   ///< in "architectures", beside causal language models
  /// Fills all of `config` but architecture and model_type, and says which biases there are.
  BiasRule (*read_config)(const JsonObject& json, ModelConfig& config);
};

extern const ArchitectureSpec qwen2_spec;
extern const ArchitectureSpec qwen3_spec;
extern const ArchitectureSpec llama_spec;
extern const ArchitectureSpec smollm3_spec;
extern const ArchitectureSpec mistral_spec;
extern const ArchitectureSpec phi3_spec;
extern const ArchitectureSpec olmo2_spec;
extern const ArchitectureSpec olmo3_spec;
extern const ArchitectureSpec gemma3_spec;
extern const ArchitectureSpec gemma3_text_spec;
extern const ArchitectureSpec granite_spec;
extern const ArchitectureSpec gpt2_spec;
extern const ArchitectureSpec gpt_neox_spec;

/// Null when unknown.
const ArchitectureSpec* find_architecture(const std::string& model_type);
const ArchitectureSpec& architecture_spec(Architecture architecture);

/// "gpt2, gpt_neox, …", for messages.
std::string supported_architectures();

/// "model.layers.3.self_attn.q_proj"; `prefix` is names.prefix or "" as the file has it.
std::string layer_module(const ArchitectureSpec& spec, const std::string& prefix,
                         std::int64_t layer, const char* module);

}  // namespace headspark
