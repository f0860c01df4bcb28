// config.json in both dialects: transformers 5 (`rope_parameters`) and 4 (`rope_theta`,
// `rope_scaling`). What changes the computation and is not supported is refused by name.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "headspark/model.h"
#include "model/architecture.h"
#include "model/json_input.h"

namespace headspark {

struct ParsedConfig {
  ModelConfig config;
  BiasRule bias;
  const ArchitectureSpec* spec = nullptr;
};

/// Errors: CONFIG, UNSUPPORTED_ARCHITECTURE.
ParsedConfig parse_config(std::span<const std::byte> text, const std::string& source);

// For the architectures' read_config:

struct RotaryDefaults {
  double theta = 10000.0;
  double partial_factor = 1.0;
  bool partial_allowed = false;
  /// What older files of the architecture call LongRoPE.
  std::vector<std::string> longrope_names = {};
};

struct SizeLimits {
  static constexpr std::int64_t layers = 4096;
  static constexpr std::int64_t heads = 4096;
  static constexpr std::int64_t width = 1 << 20;
  static constexpr std::int64_t vocab = 1 << 24;
  static constexpr std::int64_t positions = 1 << 28;
};

/// The keys that Llama, SmolLM3, Mistral, Phi-3, Qwen2 and Qwen3 share. head_dim_default 0: hidden
/// / heads.
void read_decoder_config(const JsonObject& json, std::int64_t head_dim_default, ModelConfig& config,
                         const RotaryDefaults& rotary = {});

/// "sliding_window": prompts may be as long as the window, within which it changes nothing.
/// `otherwise`: where the key is missing; none: there is no window then.
void read_window(const JsonObject& json, std::optional<std::int64_t> otherwise,
                 ModelConfig& config);

/// "attention_bias" and "mlp_bias", as Llama has them.
BiasRule read_biases(const JsonObject& json);

/// The rotary scaling's attention factor as the scale of rotations, which not all of a head or not
/// all layers go through.
void scale_rotations(ModelConfig& config);

/// Sets config.rotary and config.attention_scale; lowers config.max_positions where frequencies
/// change beyond some position. Needs config.head_dim and config.max_positions.
void read_rotary(const JsonObject& json, const RotaryDefaults& defaults, ModelConfig& config);

/// 1 / sqrt(head_dim), times the square of the attention factor. Needs config.head_dim and
/// config.rotary.
float attention_scale(const ModelConfig& config);

/// "silu", "gelu_new", … as Hugging Face names them; CONFIG naming `key` otherwise.
Activation read_activation(const JsonObject& json, const char* key, const char* otherwise);

}  // namespace headspark
