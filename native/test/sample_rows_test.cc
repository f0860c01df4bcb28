// sample_rows on every implementation: the tokens of the specification of one row, in any company.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "headspark/error.h"
#include "op_suite.h"
#include "ops/philox.h"
#include "ops/sampling.h"

namespace headspark::test {
namespace {

constexpr float kInfinite = std::numeric_limits<float>::infinity();

/// Rows of one call: logits without gaps, and what each row's token depends on besides.
struct Rows {
  std::int64_t vocab = 0;
  std::vector<std::vector<float>> logits;
  std::vector<RowDraw> draws;
  std::vector<std::int32_t> seen;

  explicit Rows(std::int64_t size) : vocab(size) {}

  void add(std::vector<float> row, const RowDraw& draw,
           const std::vector<std::int32_t>& row_seen = {}) {
    logits.push_back(std::move(row));
    draws.push_back(draw);
    draws.back().seen_begin = static_cast<std::int64_t>(seen.size());
    draws.back().seen_count = static_cast<std::int32_t>(row_seen.size());
    seen.insert(seen.end(), row_seen.begin(), row_seen.end());
  }
  std::size_t size() const { return logits.size(); }
  TokenDraw token_draw(std::size_t row) const {
    const RowDraw& draw = draws[row];
    const auto begin = seen.begin() + draw.seen_begin;
    return {draw.options, draw.seed, draw.index, {begin, begin + draw.seen_count}, draw.log_prob};
  }
};

std::vector<DrawnToken> sample(const Context& context, const Rows& rows) {
  const std::int64_t stride = logits_stride(rows.vocab) + 4;
  GuardedArray logits("logits", static_cast<std::int64_t>(rows.size()) * stride);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    std::copy(rows.logits[row].begin(), rows.logits[row].end(),
              logits.data() + static_cast<std::int64_t>(row) * stride);
  }
  // Tokens and margins between two that nobody may touch.
  const DrawnToken untouched{-77, -88.0f, -99.0f};
  std::vector<DrawnToken> drawn(rows.size() + 2, untouched);
  SampleRows params;
  params.rows = static_cast<std::int64_t>(rows.size());
  params.vocab = rows.vocab;
  params.logits = logits.data();
  params.stride = stride;
  params.draws = rows.draws.data();
  params.seen = rows.seen.empty() ? nullptr : rows.seen.data();
  params.drawn = drawn.data() + 1;
  sample_rows(context, params);
  CHECK(logits.guards_intact());
  for (const DrawnToken& guard : {drawn.front(), drawn.back()}) {
    CHECK(guard.token == untouched.token);
    CHECK(guard.margin == untouched.margin);
    CHECK(guard.log_prob == untouched.log_prob);
  }
  return {drawn.begin() + 1, drawn.end() - 1};
}

enum class LogitShape { flat, usual, peaked, ties, same, infinite, broken };
constexpr LogitShape kShapes[] = {LogitShape::flat,  LogitShape::usual, LogitShape::peaked,
                                  LogitShape::ties,  LogitShape::same,  LogitShape::infinite,
                                  LogitShape::broken};

/// Logits with some NaN and -inf among them.
std::vector<float> logits_of(Random& random, LogitShape shape, std::int64_t vocab) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> x(static_cast<std::size_t>(vocab));
  for (float& value : x) {
    const float sum = random.uniform(-1, 1) + random.uniform(-1, 1) + random.uniform(-1, 1);
    const float spread = shape == LogitShape::flat     ? 0.1f
                         : shape == LogitShape::peaked ? 30.0f
                                                       : 4.0f;
    value = spread * sum;
    if (shape == LogitShape::ties) value = std::round(value * 2.0f) / 2.0f;
    if (shape == LogitShape::same) value = 1.25f;
    if (shape == LogitShape::broken) value = random.below(2) == 0 ? nan : -kInfinite;
    if (random.below(50) == 0) value = random.below(2) == 0 ? nan : -kInfinite;
  }
  if (shape == LogitShape::infinite) {
    for (int i = 0; i < 3; ++i) x[static_cast<std::size_t>(random.below(vocab))] = kInfinite;
  }
  return x;
}

std::vector<std::int32_t> some_tokens(Random& random, std::int64_t vocab, std::int64_t count) {
  std::vector<std::int32_t> tokens;
  for (std::int64_t i = 0; i < count; ++i) {
    tokens.push_back(static_cast<std::int32_t>(random.below(vocab)));
  }
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  return tokens;
}

std::vector<SamplingOptions> option_grid() {
  std::vector<SamplingOptions> grid;
  for (const float penalty : {1.0f, 1.3f}) {
    grid.push_back({.repetition_penalty = penalty});
    for (const float temperature : {0.3f, 1.0f, 1.7f}) {
      for (const std::int32_t top_k : {0, 1, 20, 3000}) {
        for (const float top_p : {1.0f, 0.95f, 0.4f}) {
          for (const float min_p : {0.0f, 0.003f, 0.2f}) {
            grid.push_back({penalty, temperature, top_k, top_p, min_p});
          }
        }
      }
    }
  }
  return grid;
}

Rows random_rows(std::uint64_t seed, std::int64_t vocab, std::size_t skip) {
  Random random(seed);
  Rows rows(vocab);
  const std::vector<SamplingOptions> grid = option_grid();
  for (const LogitShape shape : kShapes) {
    for (std::size_t i = static_cast<std::size_t>(random.below(static_cast<std::int64_t>(skip)));
         i < grid.size(); i += skip) {
      const bool penalized = grid[i].repetition_penalty != 1.0f;
      rows.add(logits_of(random, shape, vocab),
               {.options = grid[i],
                .seed = random.bits(),
                .index = random.bits() % 1000,
                .log_prob = random.below(3) > 0},
               some_tokens(random, vocab, penalized ? 40 : 0));
    }
  }
  return rows;
}

/// Where a draw may differ when weights are off in their last bit: the candidates of the row, and
/// how far the draw lies from the boundary between two of them.
double distance_to_boundary(const Rows& rows, std::size_t row) {
  std::vector<float> copy = rows.logits[row];
  const TokenDraw draw = rows.token_draw(row);
  const double uniform = philox_uniform(draw.seed, draw.index);
  double nearest = 1.0;
  double sum = 0.0;
  for (const Candidate& candidate :
       token_distribution(Isa::specification, draw.options, draw.seen, copy)) {
    sum += candidate.probability;
    nearest = std::min(nearest, std::fabs(sum - uniform));
  }
  return nearest;
}

/// The level of this machine whose weights have the device's bits, if it has one.
std::optional<Isa> level_of_same_bits(const Level& level) {
  if (level.isa) return level.isa;
  const Isa machine = machine_isa();
  if (machine == Isa::specification || machine == Isa::portable) return std::nullopt;
  return machine;
}

std::string describe(const Rows& rows, std::size_t row) {
  const SamplingOptions& o = rows.draws[row].options;
  return "row " + std::to_string(row) + " of " + std::to_string(rows.vocab) + ": penalty " +
         std::to_string(o.repetition_penalty) + ", temperature " + std::to_string(o.temperature) +
         ", top_k " + std::to_string(o.top_k) + ", top_p " + std::to_string(o.top_p) + ", min_p " +
         std::to_string(o.min_p);
}

/// In fp64, from the row's logits alone: NaN is no token, infinite logits share everything.
double log_prob_of(const Rows& rows, std::size_t row, std::int32_t token) {
  const TokenDraw draw = rows.token_draw(row);
  std::vector<double> x;
  for (const float logit : rows.logits[row]) x.push_back(std::isnan(logit) ? -kInfinite : logit);
  for (const std::int32_t seen : draw.seen) {
    double& logit = x[static_cast<std::size_t>(seen)];
    const double penalty = draw.options.repetition_penalty;
    logit = logit < 0.0 ? logit * penalty : logit / penalty;
  }
  const double largest = *std::max_element(x.begin(), x.end());
  double total = 0.0;
  for (const double logit : x) {
    total += std::isinf(largest) ? (logit == largest ? 1.0 : 0.0) : std::exp(logit - largest);
  }
  const double own = x[static_cast<std::size_t>(token)];
  return (own == largest ? 0.0 : own - largest) - std::log(total);
}

void check_log_prob(const Rows& rows, std::size_t row, const DrawnToken& drawn) {
  if (!rows.draws[row].log_prob) {
    CHECK(drawn.log_prob == kNoLogProb);
    return;
  }
  CHECK(drawn.log_prob <= 0.0f);
  const double expected = log_prob_of(rows, row, drawn.token);
  const double difference = std::fabs(static_cast<double>(drawn.log_prob) - expected);
  CHECK_FALSE(!(difference <= 1e-6 * (1.0 + std::fabs(expected))));
}

/// Equal to the level whose weights have the same bits; near a boundary alone unlike the
/// specification's, whose weights may differ in the last one.
void check_rows(const Level& level, const Rows& rows, const std::vector<DrawnToken>& drawn) {
  const std::optional<Isa> same_bits = level_of_same_bits(level);
  std::size_t unlike = 0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    CAPTURE(describe(rows, row));
    const DrawnToken& token = drawn[row];
    check_log_prob(rows, row, token);
    if (same_bits) {
      std::vector<float> copy = rows.logits[row];
      const DrawnToken expected = sample_token(*same_bits, rows.token_draw(row), copy);
      CHECK(token.token == expected.token);
      CHECK(token.margin == expected.margin);
      // The device takes one logarithm of its own.
      CHECK_FALSE(!(std::fabs(token.log_prob - expected.log_prob) <=
                    (level.isa ? 0.0f : 1e-6f * (1.0f + std::fabs(expected.log_prob)))));
    }
    std::vector<float> copy = rows.logits[row];
    const DrawnToken specified = sample_token(Isa::specification, rows.token_draw(row), copy);
    CHECK(token.margin == specified.margin);
    if (token.token == specified.token) continue;
    ++unlike;
    CHECK(distance_to_boundary(rows, row) <= 1e-5);
  }
  // Some 1e-7 of each draw's range lies that near to a boundary.
  CHECK(unlike * 1000 <= rows.size());
}

}  // namespace

TEST_CASE("sample_rows draws what the specification draws: every filter, shape and size") {
  struct {
    std::int64_t vocab;
    std::size_t skip;
  } const sizes[] = {{1, 40}, {17, 9}, {511, 30}, {512, 20}, {1027, 5}, {5003, 25}, {50257, 200}};
  for (const Level& level : levels()) {
    const std::size_t rarer = level.isa ? 1 : 12;  // a row takes the emulated device some 0.2 s
    for (const auto& [vocab, skip] : sizes) {
      CAPTURE(level.name);
      const Rows rows = random_rows(static_cast<std::uint64_t>(vocab), vocab, rarer * skip);
      check_rows(level, rows, sample(level.context(2), rows));
    }
  }
}

TEST_CASE(
    "sample_rows on the vocabulary of Qwen, of which a flat row keeps more than can be sorted") {
  for (const Level& level : levels()) {
    Random random(12);
    Rows rows(151936);
    for (const SamplingOptions& options : {SamplingOptions{}, SamplingOptions{.temperature = 1.0f},
                                           SamplingOptions{.temperature = 1.0f, .top_p = 0.95f}}) {
      rows.add(logits_of(random, LogitShape::flat, rows.vocab),
               {.options = options, .seed = 4, .log_prob = true});
      rows.add(logits_of(random, LogitShape::peaked, rows.vocab), {.options = options, .seed = 5});
    }
    rows.add(logits_of(random, LogitShape::ties, rows.vocab),
             {.options = {.temperature = 1.5f, .top_k = 30000, .top_p = 0.9f, .min_p = 0.001f}});
    check_rows(level, rows, sample(level.context(1), rows));
  }
}

TEST_CASE("sample_rows: a row's token is the same alone, in company, and with any threads") {
  for (const Level& level : levels()) {
    const Rows rows = random_rows(3, 900, 150);
    const std::vector<DrawnToken> together = sample(level.context(3), rows);
    for (std::size_t row = 0; row < rows.size(); row += 3) {
      Rows alone(rows.vocab);
      const TokenDraw draw = rows.token_draw(row);
      alone.add(rows.logits[row], rows.draws[row], {draw.seen.begin(), draw.seen.end()});
      const DrawnToken token = sample(level.context(1), alone).front();
      CHECK(token.token == together[row].token);
      CHECK(token.margin == together[row].margin);
      CHECK(token.log_prob == together[row].log_prob);
    }
  }
}

TEST_CASE("sample_rows: options, strides and arrays that cannot be are refused by name") {
  const Context context = levels().front().context(1);
  std::vector<float> logits(16);
  const RowDraw draw;
  DrawnToken drawn;
  const SampleRows good{1, 5, logits.data(), 8, &draw, nullptr, &drawn};
  CHECK_NOTHROW(sample_rows(context, good));
  const auto refused = [&](void (*spoil)(SampleRows&), const char* message) {
    SampleRows params = good;
    spoil(params);
    CHECK_THROWS_WITH_AS(sample_rows(context, params), doctest::Contains(message), Error);
  };
  refused([](SampleRows& p) { p.rows = -1; }, "rows");
  refused([](SampleRows& p) { p.vocab = 0; }, "vocab");
  refused([](SampleRows& p) { p.vocab = std::int64_t{1} << 40; }, "vocab");
  refused([](SampleRows& p) { p.stride = 4; }, "stride");
  refused([](SampleRows& p) { p.stride = 9; }, "stride");
  refused([](SampleRows& p) { p.logits = nullptr; }, "logits is null");
  refused([](SampleRows& p) { p.draws = nullptr; }, "draws is null");
  refused([](SampleRows& p) { p.drawn = nullptr; }, "drawn is null");
}

}  // namespace headspark::test
