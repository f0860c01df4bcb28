// Depth and duplicate names are checked while parsing, so a hostile text is refused before it
// becomes a deep or ambiguous value.
#include "model/json_input.h"

#include <cmath>
#include <set>

namespace headspark {
namespace {

constexpr int max_depth = 32;  // the deepest real file (a nested rope_parameters) has 4 levels

struct ParseRules {
  const std::string& source;
  ErrorCode code;
  std::size_t max_names;  ///< per object

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(code, source + message + ".");
  }
};

template <typename Json>
Json parse_strictly(std::span<const std::byte> text, const ParseRules& rules) {
  using Event = typename Json::parse_event_t;
  std::vector<std::set<std::string>> names;
  const auto watch = [&](int depth, Event event, Json& value) {
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= max_depth) {
        rules.fail(" is nested deeper than " + std::to_string(max_depth) +
                   " levels; it is not a file of this kind");
      }
      if (event == Event::object_start) names.emplace_back();
    } else if (event == Event::object_end) {
      names.pop_back();
    } else if (event == Event::key) {
      const auto& name = value.template get_ref<const std::string&>();
      if (!names.back().insert(name).second) {
        rules.fail(" has the name " + quote(name) + " twice in one object; remove one of them");
      }
      if (names.back().size() > rules.max_names) rules.fail(" has too many names in one object");
    }
    return true;
  };
  const char* begin = reinterpret_cast<const char*>(text.data());
  try {
    return Json::parse(begin, begin + text.size(), watch);
  } catch (const nlohmann::json::exception& problem) {
    std::string why = problem.what();
    const std::size_t detail = why.find("] ");
    if (detail != std::string::npos) why = why.substr(detail + 2);
    rules.fail(" is not valid JSON: " + quote(why));
  }
}

}  // namespace

std::string quote(const std::string& text) {
  constexpr std::size_t shown = 120;
  std::string result = "\"";
  for (const char c : text.substr(0, shown)) {
    const auto byte = static_cast<unsigned char>(c);
    result += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return result + (text.size() > shown ? "…\"" : "\"");
}

nlohmann::json parse_json(std::span<const std::byte> text, const std::string& source,
                          ErrorCode code) {
  return parse_strictly<nlohmann::json>(text, {source, code, SIZE_MAX});
}

nlohmann::ordered_json parse_ordered_json(std::span<const std::byte> text,
                                          const std::string& source, ErrorCode code) {
  return parse_strictly<nlohmann::ordered_json>(text, {source, code, 4096});
}

JsonObject::JsonObject(const nlohmann::json& object, std::string source, ErrorCode code)
    : object_(object), source_(std::move(source)), code_(code) {
  if (!object_.is_object()) fail("a JSON object is expected here");
}

void JsonObject::fail(const std::string& message) const {
  throw Error(code_, source_ + ": " + message + ".");
}

const nlohmann::json* JsonObject::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> JsonObject::integer(const char* key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const bool fits = value->is_number_unsigned()
                        ? value->get<std::uint64_t>() <= static_cast<std::uint64_t>(INT64_MAX)
                        : value->is_number_integer();
  if (!fits) fail(std::string("\"") + key + "\" must be an integer");
  return value->get<std::int64_t>();
}

std::optional<double> JsonObject::number(const char* key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    fail(std::string("\"") + key + "\" must be a finite number");
  }
  return value->get<double>();
}

std::optional<bool> JsonObject::boolean(const char* key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail(std::string("\"") + key + "\" must be true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonObject::text(const char* key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail(std::string("\"") + key + "\" must be a string");
  return value->get<std::string>();
}

std::optional<std::vector<std::string>> JsonObject::texts(const char* key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::string expected = std::string("\"") + key + "\" must be a list of strings";
  if (!value->is_array()) fail(expected);
  std::vector<std::string> result;
  for (const nlohmann::json& item : *value) {
    if (!item.is_string()) fail(expected);
    result.push_back(item.get<std::string>());
  }
  return result;
}

std::int64_t JsonObject::size(const char* key, std::int64_t limit) const {
  if (!has(key)) fail(std::string("\"") + key + "\" is missing");
  return size_or(key, limit, 0);
}

std::int64_t JsonObject::size_or(const char* key, std::int64_t limit,
                                 std::int64_t otherwise) const {
  const std::optional<std::int64_t> value = integer(key);
  if (!value) return otherwise;
  if (*value < 1 || *value > limit) {
    fail(std::string("\"") + key + "\" is " + std::to_string(*value) + ", but must be from 1 to " +
         std::to_string(limit));
  }
  return *value;
}

double JsonObject::required_number(const char* key) const {
  const std::optional<double> value = number(key);
  if (!value) fail(std::string("\"") + key + "\" is missing");
  return *value;
}

}  // namespace headspark
