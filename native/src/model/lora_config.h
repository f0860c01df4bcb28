// adapter_config.json of a PEFT LoRA adapter: which modules it changes, with which rank and scale.
// Everything that would change the computation in another way is refused by name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "model/module_pattern.h"

namespace headspark {

/// A set of modules: a list of names (a module matches by its whole name or its last parts) or a
/// regular expression for the whole name.
struct ModuleSelection {
  std::vector<std::string> names;
  std::optional<ModulePattern> pattern;

  bool contains(const std::string& module) const;
};

/// One entry of rank_pattern or alpha_pattern.
struct ModuleValue {
  ModulePattern pattern;
  double value = 0.0;
};

struct LoraConfig {
  std::int64_t rank = 8;
  double alpha = 8.0;
  bool rank_stabilized = false;  ///< scale alpha / sqrt(r) instead of alpha / r (arXiv 2312.03732)
  bool all_linear = false;       ///< every linear module but the unembedding
  ModuleSelection targets;
  ModuleSelection excluded;
  std::optional<std::set<std::int64_t>> layers;
  std::vector<std::string> layers_pattern;
  std::vector<ModuleValue> rank_pattern;
  std::vector<ModuleValue> alpha_pattern;
  std::string source;

  struct Module {
    std::string name;                   ///< as PEFT sees it: "model.layers.0.self_attn.q_proj"
    std::optional<std::int64_t> layer;  ///< none: the unembedding

    explicit Module(std::string name_in, std::optional<std::int64_t> layer_in = std::nullopt)
        : name(std::move(name_in)), layer(layer_in) {}
  };

  /// check_target_module_exists of PEFT 0.21.
  bool targets_module(const Module& module) const;
  std::int64_t rank_of(const std::string& module) const;
  float scale_of(const std::string& module) const;
};

/// Errors: CONFIG (malformed), UNSUPPORTED_ADAPTER (another kind, or an unsupported option).
LoraConfig parse_lora_config(std::span<const std::byte> text, const std::string& source);

}  // namespace headspark
