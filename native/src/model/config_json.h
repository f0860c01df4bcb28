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

/// The keys that decoders of Llama's kind share. head_dim_default 0: hidden
/// / heads.
void read_decoder_config(const JsonObject& json, std::int64_t head_dim_default, ModelConfig& config,
                         const RotaryDefaults& rotary = {});

/// [layers] of 1.
std::vector<std::uint8_t> every_layer(const ModelConfig& config);
/// Whether any of these layers has a 1.
bool any_layer(const std::vector<std::uint8_t>& layers);
/// [layers] 1 where "layer_types" has "sliding_attention"; without the key `otherwise`.
std::vector<std::uint8_t> windowed_layers(const JsonObject& json, const ModelConfig& config,
                                          std::vector<std::uint8_t> otherwise);

/// Sets config.windowed and config.window from "sliding_window", unless no position leaves it.
/// `otherwise`: the window where the key is missing; none: there is no window then.
void read_window(const JsonObject& json, std::optional<std::int64_t> otherwise,
                 std::vector<std::uint8_t> windowed, ModelConfig& config);

/// "use_sliding_window"; refuses "layer_types" that have a window without it.
bool uses_windows(const JsonObject& json, const ModelConfig& config);

/// The windows of Qwen2 and Qwen3, which "use_sliding_window" turns on.
void read_qwen_windows(const JsonObject& json, ModelConfig& config);

/// "attention_bias" and "mlp_bias", as Llama has them.
BiasRule read_biases(const JsonObject& json);

/// Makes the rotary scaling's attention factor, which is part of config.attention_scale, the scale
/// of rotations where not all of a head or not all layers go through them. Once all is read.
void place_attention_factor(ModelConfig& config);

/// Sets config.rotary and config.attention_scale; lowers config.max_positions where frequencies
/// change beyond some position. Needs config.head_dim and config.max_positions.
void read_rotary(const JsonObject& json, const RotaryDefaults& defaults, ModelConfig& config);

/// config.query_scale or 1 / sqrt(head_dim), times the square of the attention factor. Needs
/// config.head_dim and config.rotary.
float attention_scale(const ModelConfig& config);

/// "silu", "gelu_new", … as Hugging Face names them; CONFIG naming `key` otherwise.
Activation read_activation(const JsonObject& json, const char* key, const char* otherwise);

}  // namespace headspark
