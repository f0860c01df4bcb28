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

void read_scaling(const JsonObject& scaling, RotaryConfig& rotary) {
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
  if (type != "llama3") {
    scaling.fail("rope scaling " + quote(type) + " is not supported; supported are default, " +
                 "linear and llama3");
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
    read_scaling(inner, rotary);
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
  return rotary;
}

}  // namespace headspark
