// Strict reading of JSON from outside: bounded depth, no duplicate names, typed look-ups whose
// errors name the file and the key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "headspark/error.h"

namespace headspark {

/// `source` names the file in errors, `code` is what a malformed text raises.
nlohmann::json parse_json(std::span<const std::byte> text, const std::string& source,
                          ErrorCode code);

/// The same with names in the order of the file, for the rare case that it has a meaning. At most
/// 4096 names per object, because ordered objects are searched linearly.
nlohmann::ordered_json parse_ordered_json(std::span<const std::byte> text,
                                          const std::string& source, ErrorCode code);

/// Reads one JSON object by key. A null value counts as absent, as in Hugging Face's files.
class JsonObject {
 public:
  /// `object` must outlive the reader. Error(code) if it is not an object.
  JsonObject(const nlohmann::json& object, std::string source, ErrorCode code);

  bool has(const char* key) const { return find(key) != nullptr; }
  const nlohmann::json* find(const char* key) const;  ///< null when absent or JSON null

  std::optional<std::int64_t> integer(const char* key) const;
  std::optional<double> number(const char* key) const;  ///< finite
  std::optional<bool> boolean(const char* key) const;
  std::optional<std::string> text(const char* key) const;
  std::optional<std::vector<std::string>> texts(const char* key) const;

  /// Present and within [1, limit].
  std::int64_t size(const char* key, std::int64_t limit) const;
  /// The default when absent, else within [1, limit].
  std::int64_t size_or(const char* key, std::int64_t limit, std::int64_t otherwise) const;
  double required_number(const char* key) const;

  const nlohmann::json& json() const { return object_; }
  const std::string& source() const { return source_; }

  /// Throws: "<source>: <message>".
  [[noreturn]] void fail(const std::string& message) const;

 private:
  const nlohmann::json& object_;
  std::string source_;
  ErrorCode code_;
};

/// A value from outside, shortened and without control characters, for use inside a message.
std::string quote(const std::string& text);

}  // namespace headspark
