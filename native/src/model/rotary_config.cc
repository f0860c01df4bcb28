// The rotary part of config.json. transformers 5 has `rope_parameters`; transformers 4 has
// `rope_theta` (GPT-NeoX: `rotary_emb_base`, `rotary_pct`) and `rope_scaling` with `type` or
// `rope_type`.
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

/// YaRN (arXiv 2309.00071) with the keys and defaults of transformers.
void read_yarn(const JsonObject& json, const JsonObject& scaling, std::int64_t max_positions,
               RotaryConfig& rotary) {
  rotary.scaling = RotaryScaling::yarn;
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
  if (!(rotary.attention_factor > 0.0) || rotary.attention_factor > 1e6) {
    scaling.fail("the attention factor of yarn must be above 0 and at most a million");
  }
}

void read_scaling(const JsonObject& json, const JsonObject& scaling, std::int64_t max_positions,
                  RotaryConfig& rotary) {
  std::string type = "default";
  if (const auto named = scaling.text("rope_type")) {
    type = *named;
  } else if (const auto old = scaling.text("type")) {
    type = *old;
  }
  if (type == "default") return;
  if (type == "linear") {
    rotary.scaling = RotaryScaling::linear;
    rotary.factor = positive(scaling, "factor");
    return;
  }
  if (type == "yarn") return read_yarn(json, scaling, max_positions, rotary);
  if (type != "llama3") {
    scaling.fail("rope scaling " + quote(type) + " is not supported; supported are default, " +
                 "linear, llama3 and yarn");
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

}  // namespace

RotaryConfig read_rotary(const JsonObject& json, const ModelConfig& config,
                         const RotaryDefaults& defaults) {
  RotaryConfig rotary;
  const nlohmann::json* rope = json.find("rope_parameters");
  if (rope == nullptr) rope = json.find("rope_scaling");
  if (rope != nullptr) {
    const JsonObject inner(*rope, json.source() + " (rope parameters)", ErrorCode::CONFIG);
    for (const auto& [key, value] : rope->items()) {
      if (value.is_object()) {
        inner.fail("separate parameters per layer type (" + quote(key) + ") are not supported");
      }
    }
    read_scaling(json, inner, config.max_positions, rotary);
  }
  rotary.theta = find_number(json, rope, {"rope_theta", "rotary_emb_base"}, defaults.theta);
  if (!(rotary.theta > 1.0)) json.fail("the base of the rotary embedding must be above 1");
  const double partial =
      find_number(json, rope, {"partial_rotary_factor", "rotary_pct"}, defaults.partial_factor);
  if (!(partial > 0.0) || partial > 1.0 || (partial != 1.0 && !defaults.partial_allowed)) {
    json.fail("a partial rotary factor of " + std::to_string(partial) +
              " is not supported for this architecture");
  }
  if (partial != 1.0 && rotary.scaling == RotaryScaling::yarn) {
    json.fail("yarn with a partial rotary factor is not supported");
  }
  rotary.rotary_dim = static_cast<std::int64_t>(static_cast<double>(config.head_dim) * partial);
  if (rotary.rotary_dim < 2 || rotary.rotary_dim % 2 != 0) {
    json.fail("the number of rotated dimensions per head is " + std::to_string(rotary.rotary_dim) +
              ", but must be even and at least 2");
  }
  return rotary;
}

}  // namespace headspark
