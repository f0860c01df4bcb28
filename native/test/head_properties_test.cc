// Head properties against Hugging Face transformers (test/fixtures/heads, in fp64, with the
// eigenvalues of the whole vocab x vocab matrices; olmo3's by
// scripts/fixtures/head-properties.mjs), and independence of everything beside them.
#include "headspark/head_properties.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "engine/trace.h"
#include "golden.h"
#include "headspark/error.h"
#include "reference_models.h"

namespace headspark::golden {
namespace {

nlohmann::json fixture(const char* model) {
  return read_json(source_folder() / "test/fixtures/heads" / (std::string(model) + ".json"));
}

HeadPropertiesRequest request_for(const nlohmann::json& json, const ModelConfig& config) {
  HeadPropertiesRequest request;
  for (const nlohmann::json& prompt : json.at("prompts")) {
    HeadPrompt added;
    added.tokens = prompt.at("tokens").get<std::vector<std::int32_t>>();
    added.classes = prompt.at("classes").get<std::vector<std::uint32_t>>();
    for (const nlohmann::json& answer : prompt.at("answers")) {
      added.answers.push_back({answer.at("correct").get<std::vector<std::int32_t>>(),
                               answer.at("incorrect").get<std::vector<std::int32_t>>()});
    }
    request.prompts.push_back(std::move(added));
  }
  for (std::int32_t layer = 0; layer < config.layers; ++layer) {
    for (std::int32_t head = 0; head < config.heads; ++head) request.heads.push_back({layer, head});
  }
  request.classes = json.at("classes").get<std::int32_t>();
  return request;
}

/// [prompts][heads][columns] as they lie in the result; null is NaN.
std::vector<float> expected_values(const nlohmann::json& json) {
  std::vector<float> values;
  for (const nlohmann::json& prompt : json) {
    for (const nlohmann::json& head : prompt) {
      for (const nlohmann::json& value : head) {
        values.push_back(value.is_null() ? std::numeric_limits<float>::quiet_NaN()
                                         : value.get<float>());
      }
    }
  }
  return values;
}

/// Undefined in the same places, and near each other elsewhere.
void check_values(const std::vector<float>& values, const std::vector<float>& expected) {
  REQUIRE(values.size() == expected.size());
  double largest = 0.0;
  bool same_places = true;
  for (std::size_t i = 0; i < values.size(); ++i) {
    same_places = same_places && std::isnan(values[i]) == std::isnan(expected[i]);
    if (std::isnan(expected[i])) continue;
    const double off = std::fabs(static_cast<double>(values[i]) - expected[i]);
    if (!(off <= largest)) largest = off;
  }
  CHECK(same_places);
  CHECK(largest <= 3e-5);
}

/// Bytes in which a prompt of `length` tokens has its activations and the maps of half of a layer's
/// heads.
std::int64_t half_of_the_maps(const Engine& engine, std::int64_t length) {
  const ModelConfig& config = engine.config();
  const std::int64_t own = Trace::floats_per_token(engine, {.written = true}) + config.hidden;
  return 4 * length * (own + config.heads / 2 * length);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("head properties: attention, writes and direct effects are those of the references") {
  for (const char* model : kModels) {
    CAPTURE(std::string(model));
    const nlohmann::json json = fixture(model);
    const Engine engine = engine_for(model);
    HeadPropertiesRequest request = request_for(json, engine.config());
    request.copying = false;
    for (const HeadQueries queries : {HeadQueries::all, HeadQueries::answer}) {
      request.queries = queries;
      const HeadProperties result = head_properties(engine, request, {});
      CHECK(result.columns == HeadColumn::classes + request.classes);
      const char* name = queries == HeadQueries::all ? "all" : "answer";
      check_values(result.values, expected_values(json.at("values").at(name)));
    }
  }
}

TEST_CASE("head properties: maps are the references' attention probabilities") {
  for (const char* model : kModels) {
    const nlohmann::json json = fixture(model);
    const nlohmann::json& map = json.at("map");
    const Engine engine = engine_for(model);
    HeadPropertiesRequest request = request_for(json, engine.config());
    request.copying = false;
    request.heads = {{0, 3}, {map.at("layer"), 2}, {map.at("layer"), map.at("head")}};
    request.maps = {{3, 0}, {map.at("prompt"), 2}};
    const HeadProperties result = head_properties(engine, request, {});
    std::vector<float> expected;
    for (const nlohmann::json& row : map.at("values")) {
      for (const nlohmann::json& value : row) expected.push_back(value.get<float>());
    }
    REQUIRE(result.maps.size() == 2);
    CHECK(result.maps[0].size() ==
          request.prompts[3].tokens.size() * request.prompts[3].tokens.size());
    CHECK(max_difference(result.maps[1], expected) <= 1e-5);
  }
}

TEST_CASE("head properties: copying scores are those of the whole OV matrices") {
  for (const char* model : kModels) {
    CAPTURE(std::string(model));
    const nlohmann::json json = fixture(model);
    const Engine engine = engine_for(model);
    HeadPropertiesRequest request = request_for(json, engine.config());
    request.prompts.clear();
    const HeadProperties result = head_properties(engine, request, {});
    CHECK(result.values.empty());
    CHECK(max_difference(result.copying, json.at("copying").get<std::vector<float>>()) <= 1e-4);
  }
}

TEST_CASE("head properties depend neither on batches, threads, memory nor on other heads") {
  for (const char* model : kModels) {
    CAPTURE(std::string(model));
    const HeadPropertiesRequest request = request_for(fixture(model), engine_for(model).config());
    const HeadProperties expected = head_properties(engine_for(model), request, {});
    // So little memory that the longest prompt has only half the maps of a layer at once.
    const std::int64_t little = half_of_the_maps(engine_for(model), 25);
    const std::vector<EngineOptions> settings = {{.batch_tokens = 1},
                                                 {.threads = 1},
                                                 {.threads = 5, .batch_tokens = 40},
                                                 {.memory_bytes = little}};
    for (const EngineOptions& options : settings) {
      const HeadProperties result = head_properties(engine_for(model, options), request, {});
      CHECK(same_bits(result.values, expected.values));
      CHECK(same_bits(result.uniform, expected.uniform));
      CHECK(same_bits(result.copying, expected.copying));
    }
    HeadPropertiesRequest one = request;
    one.prompts = {request.prompts[1]};
    one.heads = {request.heads[7]};
    const HeadProperties alone = head_properties(engine_for(model), one, {});
    const auto at = static_cast<std::ptrdiff_t>((request.heads.size() + 7) *
                                                static_cast<std::size_t>(expected.columns));
    CHECK(same_bits(alone.values, {expected.values.begin() + at,
                                   expected.values.begin() + at + expected.columns}));
    CHECK(alone.copying[0] == expected.copying[7]);
  }
}

TEST_CASE("head properties: uniform attention is counted, not computed") {
  HeadPropertiesRequest request;
  request.prompts = {{.tokens = {5, 6, 5, 7}, .classes = {1, 0, 0, 1}, .answers = {}}};
  request.heads = {{0, 0}};
  request.classes = 2;
  const HeadProperties result = head_properties(engine_for("qwen2"), request, {});
  const auto at = [&](std::int32_t column) { return static_cast<double>(result.uniform[column]); };
  CHECK(std::fabs(at(HeadColumn::previous) - (1.0 / 2 + 1.0 / 3 + 1.0 / 4) / 3) <= 1e-7);
  CHECK(std::fabs(at(HeadColumn::first) - (1.0 / 2 + 1.0 / 3 + 1.0 / 4) / 3) <= 1e-7);
  CHECK(std::fabs(at(HeadColumn::duplicate) - 1.0 / 3) <= 1e-7);
  CHECK(std::fabs(at(HeadColumn::induction) - 1.0 / 3) <= 1e-7);
  CHECK(std::fabs(at(HeadColumn::entropy) - std::log(24.0) / 3) <= 1e-6);
  CHECK(std::fabs(at(HeadColumn::distance) - 1.0) <= 1e-6);
  CHECK(std::isnan(at(HeadColumn::write_norm)));
  CHECK(std::fabs(at(HeadColumn::classes) - (1.0 / 2 + 1.0 / 3 + 2.0 / 4) / 3) <= 1e-7);
  CHECK(std::isnan(at(HeadColumn::classes + 1)));
  CHECK(std::isnan(result.values[HeadColumn::direct_effect]));
}

TEST_CASE("head properties refuse what they cannot measure") {
  const Engine engine = engine_for("qwen2");
  HeadPropertiesRequest good;
  good.prompts = {{.tokens = {5, 6}, .classes = {0, 0}, .answers = {{{1}, {2}}}}};
  good.heads = {{0, 1}, {2, 0}};
  CHECK_NOTHROW(head_properties(engine, good, {}));
  const auto refused = [&](auto&& change) {
    HeadPropertiesRequest request = good;
    change(request);
    CHECK_THROWS_AS(head_properties(engine, request, {}), Error);
  };
  refused([](auto& r) { r.prompts[0].tokens.clear(); });
  refused([](auto& r) { r.prompts[0].tokens[1] = 307; });
  refused([](auto& r) { r.prompts[0].classes.pop_back(); });
  refused([](auto& r) { r.prompts[0].answers[0].correct.clear(); });
  refused([](auto& r) { r.prompts[0].answers[0].incorrect[0] = -1; });
  refused([](auto& r) { r.prompts[0].answers.resize(3, {{1}, {}}); });
  refused([](auto& r) {
    r.prompts[0].tokens.resize(129, 1);
    r.prompts[0].classes.resize(129, 0);
  });
  refused([](auto& r) { r.heads = {{2, 0}, {0, 1}}; });
  refused([](auto& r) { r.heads = {{0, 6}}; });
  refused([](auto& r) { r.maps = {{0, 2}}; });
  refused([](auto& r) { r.classes = 33; });
  const Engine small = engine_for("qwen2", {.memory_bytes = 1000});
  CHECK_THROWS_AS(head_properties(small, good, {}), Error);
}

}  // namespace headspark::golden
