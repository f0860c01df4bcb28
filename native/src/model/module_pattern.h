// The regular expressions of adapter_config.json, in the part of Python's `re` that such files use.
// Patterns come from outside: a match has a budget of steps instead of exponential time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace headspark {

class ModulePattern {
 public:
  /// Characters, `.`, classes, \d \w \s and their complements, groups (capturing ones too), |, the
  /// quantifiers * + ? {m,n} (lazy ones too), ^, $, and look-ahead. `place` names file and key in
  /// Error(UNSUPPORTED_ADAPTER), which everything else raises.
  ModulePattern(const std::string& pattern, std::string place);
  ~ModulePattern();
  ModulePattern(ModulePattern&&) noexcept;
  ModulePattern& operator=(ModulePattern&&) noexcept;

  /// re.fullmatch(pattern, text). Error(UNSUPPORTED_ADAPTER) when the budget is spent.
  bool full_match(const std::string& text) const;

  struct Node;

 private:
  std::string place_;
  std::unique_ptr<Node> root_;
};

}  // namespace headspark
