// Fuzz target: config.json. An accepted configuration must hold the invariants the engine relies
// on.
#include <cstdlib>

#include "headspark/error.h"
#include "model/config_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    const headspark::ModelConfig config = headspark::parse_config(bytes, "config.json").config;
    const bool valid = config.layers > 0 && config.heads > 0 && config.kv_heads > 0 &&
                       config.heads % config.kv_heads == 0 && config.head_dim > 0 &&
                       config.hidden > 0 && config.intermediate > 0 && config.vocab > 0 &&
                       config.max_positions > 0 && config.norm_epsilon > 0.0f &&
                       config.rotary.rotary_dim <= config.head_dim &&
                       config.rotary.rotary_dim % 2 == 0;
    if (!valid) std::abort();
    headspark::make_rotary_table(config.rotary, 2);
  } catch (const headspark::Error& error) {
    const headspark::ErrorCode code = error.code();
    if (code != headspark::ErrorCode::CONFIG &&
        code != headspark::ErrorCode::UNSUPPORTED_ARCHITECTURE) {
      std::abort();
    }
  }
  return 0;
}
