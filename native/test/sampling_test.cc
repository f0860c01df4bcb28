// Filters against Hugging Face's logits processors (scripts/fixtures/sampling.py), draws against
// the distribution, and the generator against its published vectors.
#include "ops/sampling.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "golden.h"
#include "headspark/error.h"
#include "op_suite.h"
#include "ops/philox.h"

namespace headspark::test {
namespace {

struct FilterCase {
  SamplingOptions options;
  std::vector<float> logits;
  std::vector<std::int32_t> seen;
  nlohmann::json expected;
};

std::vector<FilterCase> filter_cases() {
  const nlohmann::json file =
      golden::read_json(golden::source_folder() / "test/fixtures/sampling/filters.json");
  std::vector<FilterCase> cases;
  for (const nlohmann::json& one : file.at("cases")) {
    FilterCase filter;
    filter.options.temperature = one.at("temperature").get<float>();
    filter.options.top_k = one.at("topK").get<std::int32_t>();
    filter.options.top_p = one.at("topP").get<float>();
    filter.options.min_p = one.at("minP").get<float>();
    filter.options.repetition_penalty = one.at("repetitionPenalty").get<float>();
    const nlohmann::json& row = file.at("rows").at(one.at("row").get<std::size_t>());
    for (const int value : row.at("logits64").get<std::vector<int>>()) {
      filter.logits.push_back(static_cast<float>(value) / 64.0f);
    }
    filter.seen = row.at("seen").get<std::vector<std::int32_t>>();
    filter.expected = one;
    cases.push_back(std::move(filter));
  }
  return cases;
}

// Equal logits may stand in either order, so kept tokens are compared by their logits.
std::vector<float> logits_of(const std::vector<std::int32_t>& tokens,
                             const std::vector<float>& logits) {
  std::vector<float> values;
  for (const std::int32_t token : tokens) values.push_back(logits[static_cast<std::size_t>(token)]);
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

TEST_CASE("sampling: filters keep what transformers keeps, with its probabilities") {
  for (const FilterCase& filter : filter_cases()) {
    CAPTURE(filter.expected.dump().substr(0, 120));
    for (const Isa isa : cpu_levels()) {
      std::vector<float> logits = filter.logits;
      const std::vector<Candidate> kept =
          token_distribution(isa, filter.options, filter.seen, logits);
      CHECK(kept.size() == filter.expected.at("kept").get<std::size_t>());
      std::vector<std::int32_t> tokens;
      std::vector<double> probabilities;
      for (const Candidate& candidate : kept) {
        tokens.push_back(candidate.token);
        probabilities.push_back(candidate.probability);
      }
      std::sort(probabilities.rbegin(), probabilities.rend());
      const auto likely = filter.expected.at("likely").get<std::vector<double>>();
      REQUIRE(likely.size() <= probabilities.size());
      for (std::size_t i = 0; i < likely.size(); ++i) {
        CHECK(std::fabs(probabilities[i] - likely[i]) <= 2e-6);
      }
      if (filter.expected.at("tokens").is_null()) continue;
      const auto expected = filter.expected.at("tokens").get<std::vector<std::int32_t>>();
      CHECK(logits_of(tokens, filter.logits) == logits_of(expected, filter.logits));
    }
  }
}

TEST_CASE("sampling: top-p takes its share of all that top-k leaves, whatever min-p keeps") {
  // Weights 1, 0.2 three times and 0.005 forty times: top-p reaches 0.85 of 1.8 with four tokens.
  std::vector<float> logits(44, std::log(0.005f));
  logits[0] = 0.0f;
  for (std::size_t i = 1; i < 4; ++i) logits[i] = std::log(0.2f);
  for (const float min_p : {0.0f, 0.005f, 0.05f, 0.1f}) {
    SamplingOptions options;
    options.temperature = 1.0f;
    options.top_k = 44;
    options.top_p = 0.85f;
    options.min_p = min_p;
    for (const Isa isa : cpu_levels()) {
      std::vector<float> row = logits;
      CHECK(token_distribution(isa, options, {}, row).size() == 4);
    }
  }
}

TEST_CASE("sampling: draws follow the distribution, each by its seed and index alone") {
  const std::vector<float> logits = Random(3).values(40, -2.0f, 2.0f);
  for (const SamplingOptions& options :
       {SamplingOptions{.temperature = 0.8f}, SamplingOptions{.temperature = 1.0f, .top_k = 12},
        SamplingOptions{.temperature = 1.5f, .top_p = 0.7f, .min_p = 0.1f}}) {
    for (const Isa isa : cpu_levels()) {
      std::vector<float> row = logits;
      std::map<std::int32_t, double> expected;
      for (const Candidate& candidate : token_distribution(isa, options, {}, row)) {
        expected[candidate.token] = candidate.probability;
      }
      constexpr int kDraws = 20000;
      std::map<std::int32_t, int> counts;
      for (int i = 0; i < kDraws; ++i) {
        row = logits;
        const TokenDraw draw{options, 9, static_cast<std::uint64_t>(i), {}};
        const std::int32_t token = sample_token(isa, draw, row).token;
        ++counts[token];
        if (i % 1000 != 0) continue;
        row = logits;
        CHECK(sample_token(isa, draw, row).token == token);
        CHECK(sample_token(isa, draw, row).margin == kNoMargin);
      }
      for (const auto& [token, count] : counts) {
        REQUIRE(expected.count(token) == 1);
        const double p = expected[token];
        const double deviation = std::sqrt(p * (1 - p) / kDraws);
        CHECK(std::fabs(static_cast<double>(count) / kDraws - p) <= 5 * deviation);
      }
    }
  }
}

TEST_CASE("sampling: a draw is where the sorted distribution reaches its number") {
  Random random(8);
  const struct {
    const char* name;
    float spread;
  } shapes[] = {{"flat", 0.2f}, {"usual", 6.0f}, {"peaked", 60.0f}};
  for (const auto& shape : shapes) {
    CAPTURE(std::string(shape.name));
    std::vector<float> logits = random.values(5000, -shape.spread, shape.spread);
    for (std::size_t i = 0; i + 1 < 200; i += 2) logits[i] = logits[i + 1];  // ties
    logits[7] = -std::numeric_limits<float>::infinity();
    for (const SamplingOptions& options :
         {SamplingOptions{.temperature = 0.6f, .top_p = 0.95f},
          SamplingOptions{.temperature = 1.0f, .top_k = 700, .top_p = 0.9f, .min_p = 0.01f},
          SamplingOptions{.temperature = 1.5f, .min_p = 0.2f},
          SamplingOptions{.temperature = 1.0f, .top_k = 50}}) {
      std::vector<float> copy = logits;
      const std::vector<Candidate> sorted = token_distribution(machine_isa(), options, {}, copy);
      for (std::size_t i = 0; i + 1 < sorted.size(); ++i) {
        CHECK(sorted[i].probability >= sorted[i + 1].probability);
      }
      for (std::uint64_t index = 0; index < 200; ++index) {
        const double uniform = philox_uniform(5, index);
        double sum = 0.0;
        std::size_t at = 0;
        while (at + 1 < sorted.size() && (sum += sorted[at].probability) <= uniform) ++at;
        copy = logits;
        CHECK(sample_token(machine_isa(), {options, 5, index, {}}, copy).token == sorted[at].token);
      }
    }
  }
}

TEST_CASE("sampling: the largest logit, its ties, NaN and infinities") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const auto token = [](const SamplingOptions& options, std::vector<float> logits) {
    std::vector<std::int32_t> tokens;
    for (const Isa isa : cpu_levels()) {
      std::vector<float> row = logits;
      tokens.push_back(sample_token(isa, {options, 1, 2, {}}, row).token);
    }
    CHECK(std::equal(tokens.begin() + 1, tokens.end(), tokens.begin()));
    return tokens.front();
  };
  for (const SamplingOptions& options : {SamplingOptions{}, SamplingOptions{.temperature = 1e-6f},
                                         SamplingOptions{.temperature = 1.0f, .top_k = 1}}) {
    CHECK(token(options, {1, 5, 2}) == 1);
    CHECK(token(options, {nan, 5, 2}) == 1);
    CHECK(token(options, {nan, nan, -infinite, -3}) == 3);
    CHECK(token(options, {0, infinite, 2}) == 1);
  }
  CHECK(token({}, {2, 7, 7, 1}) == 1);
  CHECK(token({}, {nan, nan}) == 0);
  CHECK(token({.temperature = 1.0f}, {nan, nan}) < 2);
  CHECK(token({.temperature = 1.0f, .top_p = 0.5f}, {-infinite, -infinite}) < 2);
  // A penalty moves both signs away from being chosen, and counts a token once.
  std::vector<float> row = {4.0f, 3.0f, -1.0f};
  const std::vector<std::int32_t> seen = {0, 0, 2};
  const TokenDraw penalized{{.repetition_penalty = 2.0f}, 0, 0, seen};
  const DrawnToken drawn = sample_token(Isa::portable, penalized, row);
  CHECK(drawn.token == 1);
  CHECK(drawn.margin == 1.0f);
  CHECK(row == std::vector<float>{2.0f, 3.0f, -2.0f});
}

TEST_CASE("sampling: the margin of a greedy token is the same on every level") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinite = std::numeric_limits<float>::infinity();
  const auto margin = [](const std::vector<float>& logits) {
    std::vector<float> margins;
    for (const Isa isa : cpu_levels()) {
      std::vector<float> row = logits;
      margins.push_back(sample_token(isa, {{}, 1, 2, {}}, row).margin);
    }
    CHECK(std::equal(margins.begin() + 1, margins.end(), margins.begin()));
    return margins.front();
  };
  CHECK(margin({1, 5, 2}) == 3.0f);
  CHECK(margin({-4, -6}) == 2.0f);
  CHECK(margin({2, 7, 7, 1}) == 0.0f);
  CHECK(margin({nan, 5, 2, nan}) == 3.0f);
  CHECK(margin({infinite, 1, infinite}) == 0.0f);
  CHECK(margin({3}) == infinite);
  CHECK(margin({nan, 3, -infinite}) == infinite);
  CHECK(margin({nan, nan}) == 0.0f);
  Random random(6);
  for (const std::int64_t count : {2, 3, 7, 8, 15, 16, 17, 31, 33, 100, 1001}) {
    std::vector<float> logits = random.values(count, -5.0f, 5.0f);
    std::vector<float> sorted = logits;
    std::sort(sorted.rbegin(), sorted.rend());
    CHECK(margin(logits) == sorted[0] - sorted[1]);
    // The two largest in every lane of a register, and in the tail.
    for (std::int64_t place = 0; place < std::min<std::int64_t>(count, 40); ++place) {
      std::vector<float> moved = logits;
      moved[static_cast<std::size_t>(place)] = 8.0f;
      moved[static_cast<std::size_t>((place + 16) % count)] = 7.5f;
      std::vector<float> expected = moved;
      std::sort(expected.rbegin(), expected.rend());
      CHECK(margin(moved) == expected[0] - expected[1]);
    }
  }
}

TEST_CASE("sampling: options out of range are refused by name") {
  const auto refused = [](const SamplingOptions& options, const char* message) {
    CHECK_THROWS_WITH_AS(check_sampling(options), doctest::Contains(message), Error);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  refused({.temperature = -1.0f}, "temperature");
  refused({.temperature = nan}, "temperature");
  refused({.top_k = -1}, "top_k");
  refused({.top_p = 0.0f}, "top_p");
  refused({.top_p = 1.1f}, "top_p");
  refused({.min_p = 1.0f}, "min_p");
  refused({.min_p = nan}, "min_p");
  refused({.repetition_penalty = 0.0f}, "repetition_penalty");
  CHECK_NOTHROW(check_sampling({.repetition_penalty = 1.2f, .temperature = 0.6f, .top_p = 0.95f}));
}

TEST_CASE("philox gives the published vectors and uniform numbers") {
  // Random123 1.14, kat_vectors.
  using Words = std::array<std::uint32_t, 4>;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
  double sum = 0.0;
  for (std::uint64_t i = 0; i < 100000; ++i) {
    const double u = philox_uniform(1ull << 40, i);
    CHECK_UNARY(u >= 0.0 && u < 1.0);
    sum += u;
  }
  CHECK(std::fabs(sum / 100000 - 0.5) <= 0.005);
  CHECK(philox_uniform(1, 0) != philox_uniform(2, 0));
}

}  // namespace headspark::test
