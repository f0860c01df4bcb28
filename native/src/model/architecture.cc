// The registry of architectures.
#include "model/architecture.h"

namespace headspark {
namespace {

const ArchitectureSpec* const registry[] = {
    &qwen2_spec,   &qwen3_spec, &llama_spec,    &smollm3_spec, &mistral_spec,
    &phi3_spec,    &olmo2_spec, &olmo3_spec,    &gemma3_spec,  &gemma3_text_spec,
    &granite_spec, &gpt2_spec,  &gpt_neox_spec,
};

}  // namespace

const ArchitectureSpec* find_architecture(const std::string& model_type) {
  for (const ArchitectureSpec* spec : registry) {
    if (model_type == spec->model_type) return spec;
  }
  return nullptr;
}

const ArchitectureSpec& architecture_spec(Architecture architecture) {
  for (const ArchitectureSpec* spec : registry) {
    if (spec->architecture == architecture) return *spec;
  }
  throw Error(ErrorCode::INTERNAL, "An architecture is missing from the registry.");
}

std::string supported_architectures() {
  std::string text;
  for (const ArchitectureSpec* spec : registry) {
    text += (text.empty() ? "" : ", ") + std::string(spec->model_type);
  }
  return text;
}

std::string layer_module(const ArchitectureSpec& spec, const std::string& prefix,
                         std::int64_t layer, const char* module) {
  return prefix + spec.names.layers + std::to_string(layer) + "." + module;
}

}  // namespace headspark
