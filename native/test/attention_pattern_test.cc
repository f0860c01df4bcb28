// Attention patterns on every level against the specification, against the formula written out,
// and against attention itself: patterns times values are its output.
#include "headspark/ops/attention_pattern.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "attention_fixture.h"
#include "headspark/error.h"

namespace headspark::test {
namespace {

/// A fixture with the heads that are asked for and where each row's maps lie.
struct PatternFixture {
  AttentionFixture attention;
  std::vector<std::int32_t> heads;
  std::vector<std::int64_t> begin;
  std::int64_t size = 0;

  PatternFixture(const AttentionSetting& setting, std::vector<std::int32_t> chosen)
      : attention(setting, 21), heads(std::move(chosen)) {
    place();
  }
  void place() {
    const RowLayout layout = attention.layout();
    size = 0;
    begin.clear();
    for (std::int32_t row = 0; row < layout.rows; ++row) {
      const std::int64_t own = attention.setting.lengths[static_cast<std::size_t>(row)];
      begin.push_back(size);
      size += static_cast<std::int64_t>(heads.size()) * own * (own + layout.prefix(row));
    }
  }
  AttentionPattern params(float* pattern) const {
    AttentionPattern p;
    p.shape = attention.shape;
    p.layout = attention.layout();
    p.q = attention.q.data();
    p.k = attention.k.data();
    p.prefix_k = attention.prefix_k.data();
    p.heads = heads.data();
    p.count = static_cast<std::int64_t>(heads.size());
    p.pattern_begin = begin.data();
    p.pattern = pattern;
    return p;
  }
  std::vector<float> run(const Context& context) const {
    Outputs outputs;
    float* pattern = outputs.dense("pattern", size);
    attention_pattern(context, params(pattern));
    outputs.check(attention.setting.name);
    return outputs["pattern"].values();
  }
};

AttentionSetting ragged() {
  return {.name = "ragged",
          .heads = 6,
          .kv_heads = 2,
          .head_dim = 10,
          .lengths = {1, 5, 0, 7, 33},
          .prefixes = {4, 0, 2, 31, 3}};
}

void check_pattern(const AttentionSetting& setting, const std::vector<std::int32_t>& heads) {
  const PatternFixture fixture(setting, heads);
  check_case({setting.name, 1e-5, [&](const Context& context, Outputs& outputs) {
                attention_pattern(context, fixture.params(outputs.dense("pattern", fixture.size)));
              }});
}

void check_product(const AttentionSetting& setting) {
  const PatternFixture fixture(setting, {0, 1, 2, 3, 4, 5});
  const AttentionFixture& a = fixture.attention;
  const RowLayout layout = a.layout();
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const std::vector<float> pattern = fixture.run(context);
    const std::vector<float> raw = run_attention(context, a).raw;
    std::vector<float> product(raw.size(), 0.0f);
    for (std::int32_t row = 0; row < layout.rows; ++row) {
      const std::int64_t own = a.setting.lengths[static_cast<std::size_t>(row)];
      const std::int64_t prefix = layout.prefix(row);
      for (std::int64_t h = 0; h < 6; ++h) {
        for (std::int64_t i = 0; i < own; ++i) {
          const float* p = pattern.data() + fixture.begin[static_cast<std::size_t>(row)] +
                           (h * own + i) * (own + prefix);
          for (std::int64_t j = 0; j < prefix + own; ++j) {
            const std::int64_t token =
                j < prefix ? layout.prefix_begin[row] + j : layout.row_begin[row] + j - prefix;
            const float* v = (j < prefix ? a.prefix_v : a.v).data() + (token * 2 + h / 3) * 10;
            float* out = product.data() + ((layout.row_begin[row] + i) * 6 + h) * 10;
            for (std::int64_t d = 0; d < 10; ++d) out[d] += p[j] * v[d];
          }
        }
      }
    }
    check_near("pattern times v on " + level.name, product, raw, 1e-5);
  }
}

}  // namespace

TEST_CASE("attention_pattern agrees with the specification: rows, groups, prefixes, head widths") {
  check_pattern(ragged(), {0, 1, 2, 3, 4, 5});
  check_pattern(ragged(), {1, 4});
  check_pattern(ragged(), {5});
  for (const std::int64_t head_dim : {1, 16, 64, 300}) {
    check_pattern({.name = "width " + std::to_string(head_dim),
                   .heads = 2,
                   .kv_heads = 1,
                   .head_dim = head_dim,
                   .lengths = {9, 20},
                   .prefixes = {}},
                  {0, 1});
  }
  check_pattern({.name = "crosses its block sizes",
                 .heads = 2,
                 .kv_heads = 1,
                 .head_dim = 16,
                 .lengths = {140, 3},
                 .prefixes = {180, 260}},
                {0, 1});
  check_pattern({.name = "large scores",
                 .heads = 2,
                 .kv_heads = 2,
                 .head_dim = 16,
                 .lengths = {12},
                 .prefixes = {},
                 .score_range = 60.0f},
                {1});
}

TEST_CASE("attention_pattern with a window") {
  for (const AttentionSetting& setting : windows_of_every_kind()) check_pattern(setting, {0, 1});
}

TEST_CASE("attention_pattern is the softmax of the scaled scores") {
  const PatternFixture fixture(
      {.name = "formula", .heads = 2, .kv_heads = 1, .head_dim = 3, .lengths = {4}, .prefixes = {}},
      {1});
  const AttentionFixture& a = fixture.attention;
  for (const Level& level : levels()) {
    const std::vector<float> pattern = fixture.run(level.context(2));
    for (std::size_t i = 0; i < 4; ++i) {
      double weights[4] = {};
      double sum = 0.0;
      for (std::size_t j = 0; j <= i; ++j) {
        double score = 0.0;
        for (std::size_t d = 0; d < 3; ++d) {
          score += static_cast<double>(a.q[(i * 2 + 1) * 3 + d]) * a.k[j * 3 + d];
        }
        sum += weights[j] = std::exp(0.3f * score);
      }
      for (std::size_t j = 0; j < 4; ++j) {
        CHECK(std::fabs(pattern[i * 4 + j] - weights[j] / sum) <= 1e-6);
      }
    }
  }
}

TEST_CASE("attention_pattern times the values is what attention writes") {
  AttentionSetting setting = ragged();
  check_product(setting);
  setting.window = 6;
  check_product(setting);
}

TEST_CASE("a map depends neither on its batch nor on the heads beside it") {
  const PatternFixture all(ragged(), {0, 1, 2, 3, 4, 5});
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const std::vector<float> whole = all.run(context);
    for (std::size_t row = 0; row < all.begin.size(); ++row) {
      PatternFixture one = all;
      one.attention = all.attention.row(row);
      one.heads = {1, 4};
      one.place();
      const std::vector<float> alone = one.run(context);
      const std::int64_t map = static_cast<std::int64_t>(alone.size()) / 2;
      const float* expected = whole.data() + all.begin[row];
      check_same_bits("head 1", {alone.begin(), alone.begin() + map},
                      {expected + map, expected + 2 * map});
      check_same_bits("head 4", {alone.begin() + map, alone.end()},
                      {expected + 4 * map, expected + 5 * map});
    }
  }
}

TEST_CASE("attention_pattern shows NaN and refuses what it cannot address") {
  PatternFixture fixture(ragged(), {0, 3});
  fixture.attention.q[0] = std::numeric_limits<float>::quiet_NaN();
  for (const Level& level : levels()) CHECK(std::isnan(fixture.run(level.context(1))[0]));
  std::vector<float> pattern(static_cast<std::size_t>(fixture.size));
  const Context context = make_cpu_context(1, default_isa());
  const auto refused = [&](auto&& change) {
    AttentionPattern p = fixture.params(pattern.data());
    change(p);
    CHECK_THROWS_AS(attention_pattern(context, p), Error);
  };
  const std::int32_t descending[] = {3, 0};
  const std::int32_t outside[] = {0, 6};
  refused([&](AttentionPattern& p) { p.heads = descending; });
  refused([&](AttentionPattern& p) { p.heads = outside; });
  refused([](AttentionPattern& p) { p.pattern = nullptr; });
  refused([](AttentionPattern& p) { p.prefix_k = nullptr; });
  refused([](AttentionPattern& p) { p.shape.kv_heads = 4; });
}

}  // namespace headspark::test
