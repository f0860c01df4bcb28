// Phi-3, Phi-4 and what has their shape (transformers models/phi3): Llama's block, with q, k and v
// in one matrix and gate and up in another.
#include "model/config_json.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

constexpr ModuleNames phi3_names() {
  ModuleNames names = llama_names;
  names.q = nullptr;
  names.k = nullptr;
  names.v = nullptr;
  names.qkv = "self_attn.qkv_proj";
  names.gate = nullptr;
  names.up = nullptr;
  names.gate_up = "mlp.gate_up_proj";
  return names;
}

BiasRule read_phi3_config(const JsonObject& json, ModelConfig& config) {
  read_decoder_config(json, 0, config, {.partial_allowed = true, .longrope_names = {"su", "yarn"}});
  read_window(json, std::nullopt, every_layer(config), config);
  return {.qkv = false, .attention_output = false, .mlp = false};
}

}  // namespace

const ArchitectureSpec phi3_spec = {
    .model_type = "phi3",
    .architecture = Architecture::phi3,
    .names = phi3_names(),
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::blocks,
    .read_config = read_phi3_config,
};

}  // namespace headspark
