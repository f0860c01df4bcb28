// The part of Python's regular expressions that adapter_config.json uses.
#include "model/module_pattern.h"
#include "model_files.h"

namespace headspark {
namespace {

bool matches(const std::string& pattern, const std::string& text) {
  return ModulePattern(pattern, "adapter_config.json (key)").full_match(text);
}

TEST_CASE("pattern: agrees with re.fullmatch") {
  const std::string name = "model.layers.11.self_attn.q_proj";
  CHECK(matches(".*", name));
  CHECK(matches(R"(.*\.(q|v)_proj)", name));
  CHECK(matches(R"(model\.layers\.\d+\.self_attn\.[a-q]_proj)", name));
  CHECK(matches(R"(model\.layers\.(?:1[01]|2\d)\..*q_proj$)", name));
  CHECK(matches(R"(^(?=.*attn).*proj)", name));
  CHECK(matches(R"((?P<all>\w+\.){4}\w+?)", name));
  CHECK(matches(R"(.*layers\.1{2,3}\..*)", name));
  CHECK(matches("", ""));
  CHECK(matches("a||b", ""));
  CHECK(matches("(a*)*b", "aab"));
  CHECK(matches("[]a]+", "]a"));
  CHECK(matches("[^a-c]", "d"));
  CHECK(!matches("q_proj", name));
  CHECK(!matches(R"(^(?!.*attn).*proj)", name));
  CHECK(!matches(R"(model\.layers\.1\..*)", name));
  CHECK(!matches(R"(.*1{3,}.*)", name));
  CHECK(!matches("[^a-c]", "b"));
  CHECK(!matches("a?", "aa"));
}

TEST_CASE("pattern: what is not supported or too costly is refused") {
  std::vector<std::string> patterns = {"(",       ")",     "[a",    "*",       "a**",  "a{3,1}",
                                       "a{9999}", R"(\1)", R"(\b)", "(?<=a)b", "[b-a]"};
  patterns.push_back(std::string(200, '(') + std::string(200, ')'));
  for (const std::string& pattern : patterns) {
    files::expect_error(ErrorCode::UNSUPPORTED_ADAPTER, {"adapter_config.json (key)"},
                        [&] { matches(pattern, "a"); });
  }
  files::expect_error(ErrorCode::UNSUPPORTED_ADAPTER, {"steps"},
                      [&] { matches("(a|a)*(a|a)*(a|a)*b", std::string(60, 'a')); });
}

}  // namespace
}  // namespace headspark
