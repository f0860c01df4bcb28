// Fuzz target: adapter_config.json, with its patterns matched against real module names.
#include <cstdlib>

#include "headspark/error.h"
#include "model/lora_config.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  using Module = headspark::LoraConfig::Module;
  try {
    const headspark::LoraConfig config = headspark::parse_lora_config(bytes, "adapter_config.json");
    for (const Module& module : {Module("model.layers.11.self_attn.q_proj", 11),
                                 Module("transformer.h.0.attn.c_attn", 0), Module("lm_head")}) {
      config.targets_module(module);
      config.scale_of(module.name);
      if (config.rank_of(module.name) < 1) std::abort();
    }
  } catch (const headspark::Error& error) {
    const headspark::ErrorCode code = error.code();
    if (code != headspark::ErrorCode::CONFIG && code != headspark::ErrorCode::UNSUPPORTED_ADAPTER) {
      std::abort();
    }
  }
  return 0;
}
