// The rotary part of config.json. transformers 5 has `rope_parameters`; transformers 4 has
// `rope_theta` (GPT-NeoX: `rotary_emb_base`, `rotary_pct`) and `rope_scaling` with `type` or
// `rope_type`.
#include <algorithm>
#include <cmath>

#include "model/config_json.h"

namespace headspark {
namespace {

double positive(const JsonObject& json, const char* key) {
  const double value = json.required_number(key);
  if (!(value > 0.0)) json.fail(std::string("\"") + key + "\" must be above 0");
  return value;
}

double magnitude_scale(double factor, double weight) {
  return factor <= 1.0 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

/// Of yarn and longrope.
void read_stretch(const JsonObject& json, const JsonObject& scaling, std::int64_t max_positions,
                  RotaryConfig& rotary) {
  // A top-level key goes before the one inside, as in transformers (Phi-3).
  rotary.original_max_positions = static_cast<double>(max_positions);
  for (const JsonObject* object : {&json, &scaling}) {
    if (!object->has("original_max_position_embeddings")) continue;
    rotary.original_max_positions = positive(*object, "original_max_position_embeddings");
    break;
  }
  rotary.factor = scaling.has("factor")
                      ? positive(scaling, "factor")
                      : static_cast<double>(max_positions) / rotary.original_max_positions;
}

void check_attention_factor(const JsonObject& scaling, const RotaryConfig& rotary) {
  if (!(rotary.attention_factor > 0.0) || rotary.attention_factor > 1e6) {
    scaling.fail("the attention factor must be above 0 and at most a million");
  }
}

/// LongRoPE (arXiv 2402.13753) with the keys and defaults of transformers: up to the original
/// positions, where the short factors hold.
void read_longrope(const JsonObject& scaling, RotaryConfig& rotary) {
  rotary.scaling = RotaryScaling::longrope;
  const nlohmann::json* factors = scaling.find("short_factor");
  if (factors == nullptr || !factors->is_array()) {
    scaling.fail("longrope needs \"short_factor\", a list of numbers");
  }
  for (const nlohmann::json& factor : *factors) {
    const auto divisor = factor.is_number() ? factor.get<float>() : 0.0f;
    if (!(divisor > 0.0f) || !std::isfinite(divisor)) {
      scaling.fail("\"short_factor\" may only have numbers above 0, not " + quote(factor.dump()));
    }
    rotary.frequency_divisors.push_back(divisor);
  }
  if (scaling.has("attention_factor")) {
    rotary.attention_factor = positive(scaling, "attention_factor");
  } else if (rotary.factor > 1.0) {
    rotary.attention_factor =
        std::sqrt(1.0 + std::log(rotary.factor) / std::log(rotary.original_max_positions));
  }
  check_attention_factor(scaling, rotary);
}

/// YaRN (arXiv 2309.00071) with the keys and defaults of transformers.
void read_yarn(const JsonObject& scaling, RotaryConfig& rotary) {
  rotary.scaling = RotaryScaling::yarn;
  if (scaling.has("beta_fast")) rotary.fast_rotations = positive(scaling, "beta_fast");
  if (scaling.has("beta_slow")) rotary.slow_rotations = positive(scaling, "beta_slow");
  for (const double rotations : {rotary.fast_rotations, rotary.slow_rotations}) {
    if (std::isfinite(std::log(rotary.original_max_positions / rotations))) continue;
    scaling.fail("\"beta_fast\", \"beta_slow\" or the original positions of yarn are not sane");
  }
  rotary.whole_dimensions = scaling.boolean("truncate").value_or(true);
  const double weight = scaling.number("mscale").value_or(0.0);
  const double weight_of_all = scaling.number("mscale_all_dim").value_or(0.0);
  if (scaling.has("attention_factor")) {
    rotary.attention_factor = positive(scaling, "attention_factor");
  } else if (weight != 0.0 && weight_of_all != 0.0) {
    rotary.attention_factor =
        magnitude_scale(rotary.factor, weight) / magnitude_scale(rotary.factor, weight_of_all);
  } else {
    rotary.attention_factor = magnitude_scale(rotary.factor, 1.0);
  }
  check_attention_factor(scaling, rotary);
}

void read_scaling(const JsonObject& json, const JsonObject& scaling, const RotaryDefaults& defaults,
                  std::int64_t max_positions, RotaryConfig& rotary) {
  std::string type = "default";
  if (const auto named = scaling.text("rope_type")) {
    type = *named;
  } else if (const auto old = scaling.text("type")) {
    type = *old;
  }
  for (const std::string& name : defaults.longrope_names) {
    if (type == name) type = "longrope";
  }
  if (type == "default") return;
  if (type == "linear") {
    rotary.scaling = RotaryScaling::linear;
    rotary.factor = positive(scaling, "factor");
    return;
  }
  if (type == "yarn" || type == "longrope") {
    read_stretch(json, scaling, max_positions, rotary);
    return type == "yarn" ? read_yarn(scaling, rotary) : read_longrope(scaling, rotary);
  }
  if (type != "llama3") {
    scaling.fail("rope scaling " + quote(type) + " is not supported; supported are default, " +
                 "linear, llama3, yarn and longrope");
  }
  rotary.scaling = RotaryScaling::llama3;
  rotary.factor = positive(scaling, "factor");
  rotary.low_frequency_factor = positive(scaling, "low_freq_factor");
  rotary.high_frequency_factor = positive(scaling, "high_freq_factor");
  rotary.original_max_positions = positive(scaling, "original_max_position_embeddings");
  if (!(rotary.high_frequency_factor > rotary.low_frequency_factor)) {
    scaling.fail("\"high_freq_factor\" must be above \"low_freq_factor\"");
  }
}

/// The first that is there: in the rope object, at the top level, under GPT-NeoX's old name.
double find_number(const JsonObject& json, const nlohmann::json* rope,
                   std::initializer_list<const char*> keys, double otherwise) {
  if (rope != nullptr) {
    const JsonObject inner(*rope, json.source(), ErrorCode::CONFIG);
    if (const auto value = inner.number(*keys.begin())) return *value;
  }
  for (const char* key : keys) {
    if (const auto value = json.number(key)) return *value;
  }
  return otherwise;
}

void finish_longrope(const JsonObject& json, ModelConfig& config) {
  const RotaryConfig& rotary = config.rotary;
  const auto pairs = static_cast<std::size_t>(rotary.rotary_dim / 2);
  if (rotary.frequency_divisors.size() != pairs) {
    json.fail("\"short_factor\" has " + std::to_string(rotary.frequency_divisors.size()) +
              " numbers, but " + std::to_string(pairs) + " pairs of each head rotate");
  }
  if (rotary.original_max_positions < static_cast<double>(config.max_positions)) {
    config.max_positions =
        std::max<std::int64_t>(1, static_cast<std::int64_t>(rotary.original_max_positions));
  }
}

}  // namespace

void place_attention_factor(ModelConfig& config) {
  const bool scales_all = config.rotary.rotary_dim == config.head_dim &&
                          !any_layer(config.unrotated) && !any_layer(config.unscaled);
  if (scales_all || config.rotary.attention_factor == 1.0) return;
  config.rotary.rotated_scale = static_cast<float>(config.rotary.attention_factor);
  config.rotary.attention_factor = 1.0;
  config.attention_scale = attention_scale(config);
}

void read_rotary(const JsonObject& json, const RotaryDefaults& defaults, ModelConfig& config) {
  RotaryConfig& rotary = config.rotary;
  const nlohmann::json* rope = json.find("rope_parameters");
  if (rope == nullptr) rope = json.find("rope_scaling");
  if (rope != nullptr) {
    const JsonObject inner(*rope, json.source() + " (rope parameters)", ErrorCode::CONFIG);
    for (const auto& [key, value] : rope->items()) {
      if (value.is_object()) {
        inner.fail("separate parameters per layer type (" + quote(key) + ") are not supported");
      }
    }
    read_scaling(json, inner, defaults, config.max_positions, rotary);
  }
  rotary.theta = find_number(json, rope, {"rope_theta", "rotary_emb_base"}, defaults.theta);
  if (!(rotary.theta > 1.0)) json.fail("the base of the rotary embedding must be above 1");
  const double partial =
      find_number(json, rope, {"partial_rotary_factor", "rotary_pct"}, defaults.partial_factor);
  if (!(partial > 0.0) || partial > 1.0 || (partial != 1.0 && !defaults.partial_allowed)) {
    json.fail("a partial rotary factor of " + std::to_string(partial) +
              " is not supported for this architecture");
  }
  rotary.rotary_dim = static_cast<std::int64_t>(static_cast<double>(config.head_dim) * partial);
  if (rotary.rotary_dim < 2 || rotary.rotary_dim % 2 != 0) {
    json.fail("the number of rotated dimensions per head is " + std::to_string(rotary.rotary_dim) +
              ", but must be even and at least 2");
  }
  if (rotary.scaling == RotaryScaling::longrope) finish_longrope(json, config);
  config.attention_scale = attention_scale(config);
}

}  // namespace headspark
