// Gemma 3 (transformers models/gemma3, arXiv 2503.19786): norms before and after attention and MLP,
// of heads of q and k too, all stored as what is added to 1; embeddings times the root of their
// width; five of six layers with a sliding window, which rotate by a base of their own. Of a model
// with a vision tower ("gemma3") its decoder is read.
#include <cmath>
#include <utility>

#include "model/config_json.h"
#include "model/layer_rope.h"
#include "model/llama_names.h"

namespace headspark {
namespace {

constexpr ModuleNames gemma3_names(const char* prefix) {
  ModuleNames names = llama_names_with_head_norms();
  names.prefix = prefix;
  names.mlp_norm = "pre_feedforward_layernorm";
  names.attention_post_norm = "post_attention_layernorm";
  names.mlp_post_norm = "post_feedforward_layernorm";
  return names;
}

// Gemma3TextConfig's, where keys are missing: files with a vision tower leave many out.
constexpr double kGemmaTheta = 1e6;
constexpr double kGemmaWindowTheta = 1e4;
constexpr std::int64_t kGemmaWindow = 4096;
constexpr std::int64_t kGemmaFullInterval = 6;  // every sixth layer sees all
constexpr double kQueryScalar = 256.0;

nlohmann::json with_gemma_defaults(const nlohmann::json& given) {
  nlohmann::json all = {{"vocab_size", 262208},
                        {"hidden_size", 2304},
                        {"intermediate_size", 9216},
                        {"num_hidden_layers", 26},
                        {"num_attention_heads", 8},
                        {"num_key_value_heads", 4},
                        {"head_dim", 256},
                        {"max_position_embeddings", 131072},
                        {"tie_word_embeddings", true}};
  for (const auto& [key, value] : given.items()) {
    if (!value.is_null() || !all.contains(key)) all[key] = value;
  }
  return all;
}

/// Where "layer_types" is missing.
std::vector<std::uint8_t> gemma_windows(const JsonObject& json, const ModelConfig& config) {
  const std::int64_t interval =
      json.size_or("sliding_window_pattern", SizeLimits::layers, kGemmaFullInterval);
  std::vector<std::uint8_t> windowed;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    windowed.push_back((layer + 1) % interval != 0 ? 1 : 0);
  }
  return windowed;
}

void refuse_gemma_variants(const JsonObject& json) {
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (json.has(key)) json.fail("\"" + std::string(key) + "\" is not supported");
  }
  // As in OLMo: no head would write a bias that goes through the norm after attention.
  for (const char* key : {"use_bidirectional_attention", "attention_bias"}) {
    if (json.boolean(key).value_or(false)) {
      json.fail("\"" + std::string(key) + "\": true is not supported");
    }
  }
}

/// Older files have "rope_scaling" beside "rope_parameters" or without; it is of the layers without
/// a window.
nlohmann::json with_old_scaling(const JsonObject& given, const LayerRope& rope) {
  nlohmann::json all = rope.config;
  const nlohmann::json* scaling = given.find("rope_scaling");
  if (!rope.by_layer || scaling == nullptr) return all;
  nlohmann::json& full = all["rope_parameters"];
  for (const nlohmann::json* part : {scaling, &std::as_const(full)}) {
    const JsonObject checked(*part, given.source() + " (rope parameters)", ErrorCode::CONFIG);
  }
  full.update(*scaling);
  return all;
}

void read_rotations(const JsonObject& json, const LayerRope& rope, ModelConfig& config) {
  std::vector<std::uint8_t> windowed = windowed_layers(json, config, gemma_windows(json, config));
  if (any_layer(windowed)) {
    config.unscaled = windowed;
    config.unscaled_theta =
        rope.window_theta.value_or(json.number("rope_local_base_freq").value_or(kGemmaWindowTheta));
    if (!(config.unscaled_theta > 1.0))
      json.fail("the base of the windows' rotary embedding must be above 1");
  }
  read_window(json, kGemmaWindow, std::move(windowed), config);
}

BiasRule read_gemma3_text_config(const JsonObject& file, ModelConfig& config) {
  const nlohmann::json whole = with_gemma_defaults(file.json());
  const JsonObject given(whole, file.source(), ErrorCode::CONFIG);
  refuse_gemma_variants(given);
  const LayerRope rope = split_rope(given);
  if (given.has("rope_parameters") && !rope.by_layer) {
    given.fail("\"rope_parameters\" needs those of \"full_attention\" and \"sliding_attention\"");
  }
  const nlohmann::json one = with_old_scaling(given, rope);
  const JsonObject json(one, file.source(), ErrorCode::CONFIG);
  read_decoder_config(json, 0, config, {.theta = kGemmaTheta});
  config.activation = read_activation(json, "hidden_activation", "gelu_pytorch_tanh");
  config.qk_norm = true;
  config.post_norm = true;
  config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.hidden)));
  const double scalar = json.number("query_pre_attn_scalar").value_or(kQueryScalar);
  if (!(scalar > 0.0)) json.fail("\"query_pre_attn_scalar\" must be above 0");
  config.query_scale = 1.0 / std::sqrt(scalar);
  config.attention_scale = attention_scale(config);
  read_rotations(json, rope, config);
  return {};
}

BiasRule read_gemma3_config(const JsonObject& json, ModelConfig& config) {
  const nlohmann::json* text = json.find("text_config");
  if (text == nullptr) json.fail("\"text_config\" is missing; it has the sizes of the decoder");
  nlohmann::json decoder = *text;
  const JsonObject inner(decoder, json.source() + " (text_config)", ErrorCode::CONFIG);
  if (const auto tied = json.boolean("tie_word_embeddings")) decoder["tie_word_embeddings"] = *tied;
  return read_gemma3_text_config(inner, config);
}

}  // namespace

const ArchitectureSpec gemma3_text_spec = {
    .model_type = "gemma3_text",
    .architecture = Architecture::gemma3_text,
    .names = gemma3_names("model."),
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .windows = true,
    .norm_offset = 1.0f,
    .read_config = read_gemma3_text_config,
};

const ArchitectureSpec gemma3_spec = {
    .model_type = "gemma3",
    .architecture = Architecture::gemma3,
    .names = gemma3_names("language_model.model."),
    .layout = WeightLayout::out_in,
    .fused_qkv = FusedQkv::none,
    .windows = true,
    .norm_offset = 1.0f,
    .other_prefix = "model.language_model.",
    .model_class = "Gemma3ForConditionalGeneration",
    .read_config = read_gemma3_config,
};

}  // namespace headspark
