// Keys and matching rules are those of PEFT 0.21 (peft/tuners/lora/config.py,
// peft/tuners/tuners_utils.py, get_pattern_key in peft/utils/other.py).
#include "model/lora_config.h"

#include <cmath>

#include "headspark/error.h"
#include "model/json_input.h"

namespace headspark {
namespace {

constexpr std::int64_t max_rank = 1 << 16;

/// Keys that are read here or do not change what a saved adapter computes.
const std::set<std::string> understood = {
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "target_modules",
    "exclude_modules",
    "rank_pattern",
    "alpha_pattern",
    "layers_pattern",
    "bias",
    "layers_to_transform",
    "init_lora_weights",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "task_type",
    "inference_mode",
    "lora_dropout",
    "fan_in_fan_out",
    "megatron_core",
    "runtime_config",
    "qalora_group_size",
    "eva_config",
};

/// Initialisations that rewrite the base weights: such adapters do not fit the published base.
void check_initialization(const JsonObject& json) {
  const nlohmann::json* value = json.find("init_lora_weights");
  if (value == nullptr || value->is_boolean()) return;
  const std::string name = json.text("init_lora_weights").value_or("");
  if (name == "gaussian" || name == "eva" || name == "orthogonal") return;
  json.fail("\"init_lora_weights\": " + quote(name) + " changes the base weights and is not " +
            "supported; convert the adapter with PEFT (path_initial_model_for_weight_conversion)");
}

bool is_neutral(const nlohmann::json& value) {
  if (value.is_boolean()) return !value.get<bool>();
  return value.is_null() || ((value.is_structured() || value.is_string()) && value.empty());
}

void refuse_unsupported(const JsonObject& json) {
  const std::string type = json.text("peft_type").value_or("");
  if (type != "LORA") {
    json.fail("adapters of \"peft_type\" " + quote(type) + " are not supported, only LORA is");
  }
  const std::string bias = json.text("bias").value_or("none");
  if (bias != "none") json.fail("\"bias\": " + quote(bias) + " is not supported, only none is");
  check_initialization(json);
  for (const auto& [key, value] : json.json().items()) {
    if (understood.count(key) != 0 || is_neutral(value)) continue;
    json.fail("the option " + quote(key) + " is set, which is not supported for LoRA adapters; " +
              "merge the adapter into its base with PEFT and give the merged folder");
  }
}

ModuleSelection read_selection(const JsonObject& json, const char* key) {
  ModuleSelection selection;
  const nlohmann::json* value = json.find(key);
  if (value == nullptr) return selection;
  if (value->is_string()) {
    const auto& text = value->get_ref<const std::string&>();
    if (!text.empty()) selection.pattern.emplace(text, json.source() + " (" + key + ")");
  } else {
    selection.names = *json.texts(key);
  }
  return selection;
}

/// PEFT matches re.match(rf"(.*\.)?({key})$", module), and the first key of the file wins.
std::vector<ModuleValue> read_pattern(const JsonObject& json, const nlohmann::ordered_json& ordered,
                                      const char* key) {
  std::vector<ModuleValue> result;
  if (!json.has(key)) return result;
  const std::string place = json.source() + " (" + key + ")";
  if (!json.find(key)->is_object()) json.fail(std::string("\"") + key + "\" must be an object");
  for (const auto& [pattern, value] : ordered[key].items()) {
    if (!value.is_number() || !std::isfinite(value.get<double>())) {
      json.fail(std::string("\"") + key + "\" must have a finite number for " + quote(pattern));
    }
    result.push_back({ModulePattern("(.*\\.)?(" + pattern + ")$", place), value.get<double>()});
  }
  return result;
}

std::optional<std::set<std::int64_t>> read_layers(const JsonObject& json) {
  const nlohmann::json* value = json.find("layers_to_transform");
  if (value == nullptr || (value->is_array() && value->empty())) return std::nullopt;
  std::set<std::int64_t> layers;
  const auto add = [&](const nlohmann::json& item) {
    if (!item.is_number_unsigned() || item.get<std::uint64_t>() > INT32_MAX) {
      json.fail("\"layers_to_transform\" must be a layer number or a list of them");
    }
    layers.insert(item.get<std::int64_t>());
  };
  if (value->is_array()) {
    for (const nlohmann::json& item : *value) add(item);
  } else {
    add(*value);
  }
  return layers;
}

std::vector<std::string> read_layers_pattern(const JsonObject& json) {
  const nlohmann::json* value = json.find("layers_pattern");
  if (value == nullptr) return {};
  std::vector<std::string> patterns;
  if (value->is_string()) {
    patterns.push_back(*json.text("layers_pattern"));
  } else {
    patterns = *json.texts("layers_pattern");
  }
  std::erase(patterns, "");
  return patterns;
}

void check_ranks(const JsonObject& json, const std::vector<ModuleValue>& ranks) {
  for (const ModuleValue& entry : ranks) {
    const bool whole = entry.value == std::floor(entry.value);
    if (!(entry.value >= 1.0 && entry.value <= static_cast<double>(max_rank)) || !whole) {
      json.fail("\"rank_pattern\" has a rank that is not a whole number from 1 to " +
                std::to_string(max_rank));
    }
  }
}

const double* find_value(const std::vector<ModuleValue>& values, const std::string& module) {
  for (const ModuleValue& entry : values) {
    if (entry.pattern.full_match(module)) return &entry.value;
  }
  return nullptr;
}

/// PEFT takes the number after the first "<anything>.<pattern>."; module names here have one.
bool layer_selected(const LoraConfig& config, const LoraConfig::Module& module) {
  if (!module.layer || config.layers->count(*module.layer) == 0) return false;
  if (config.layers_pattern.empty()) return true;
  std::string segment(1, '.');
  segment += std::to_string(*module.layer);
  segment += '.';
  const std::size_t number = module.name.find(segment);
  const std::string before = module.name.substr(0, number);
  for (const std::string& pattern : config.layers_pattern) {
    const ModulePattern layers("(.*\\.)?" + pattern, config.source + " (layers_pattern)");
    if (layers.full_match(before)) return true;
  }
  return false;
}

}  // namespace

bool ModuleSelection::contains(const std::string& module) const {
  if (pattern) return pattern->full_match(module);
  for (const std::string& name : names) {
    if (module == name || module.ends_with("." + name)) return true;
  }
  return false;
}

bool LoraConfig::targets_module(const Module& module) const {
  if (excluded.contains(module.name)) return false;
  const bool found = all_linear ? module.layer.has_value() : targets.contains(module.name);
  // As in PEFT, layers_to_transform has no effect on a regular expression.
  if (!found || !layers || targets.pattern) return found;
  return layer_selected(*this, module);
}

std::int64_t LoraConfig::rank_of(const std::string& module) const {
  const double* value = find_value(rank_pattern, module);
  return value == nullptr ? rank : static_cast<std::int64_t>(*value);
}

float LoraConfig::scale_of(const std::string& module) const {
  const double* value = find_value(alpha_pattern, module);
  const auto size = static_cast<double>(rank_of(module));
  return static_cast<float>((value == nullptr ? alpha : *value) /
                            (rank_stabilized ? std::sqrt(size) : size));
}

LoraConfig parse_lora_config(std::span<const std::byte> text, const std::string& source) {
  const nlohmann::json value = parse_json(text, source, ErrorCode::CONFIG);
  const JsonObject json(value, source, ErrorCode::CONFIG);
  refuse_unsupported(JsonObject(value, source, ErrorCode::UNSUPPORTED_ADAPTER));
  LoraConfig config;
  config.source = source;
  config.rank = json.size_or("r", max_rank, 8);  // 8 and 8: the defaults of LoraConfig
  config.alpha = json.number("lora_alpha").value_or(8.0);
  config.rank_stabilized = json.boolean("use_rslora").value_or(false);
  config.targets = read_selection(json, "target_modules");
  config.excluded = read_selection(json, "exclude_modules");
  if (!config.targets.pattern && config.targets.names.empty()) {
    json.fail("\"target_modules\" is missing; it says which modules the adapter changes");
  }
  const nlohmann::json& targets = *json.find("target_modules");
  config.all_linear = targets.is_string() && targets.get_ref<const std::string&>() == "all-linear";
  if (config.all_linear) config.targets = ModuleSelection();
  config.layers = read_layers(json);
  config.layers_pattern = read_layers_pattern(json);
  const nlohmann::ordered_json ordered = parse_ordered_json(text, source, ErrorCode::CONFIG);
  config.rank_pattern = read_pattern(json, ordered, "rank_pattern");
  config.alpha_pattern = read_pattern(json, ordered, "alpha_pattern");
  check_ranks(json, config.rank_pattern);
  return config;
}

}  // namespace headspark
