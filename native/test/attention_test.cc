// Attention on every level against the specification and finite differences; rows are independent.
#include "headspark/ops/attention.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "attention_fixture.h"
#include "headspark/error.h"

namespace headspark::test {
namespace {

void check_near_all(const std::string& where, const AttentionResult& a, const AttentionResult& b,
                    double tolerance) {
  check_near(where + " z", a.z, b.z, tolerance);
  check_near(where + " raw", a.raw, b.raw, tolerance);
  check_near(where + " lse", a.lse, b.lse, tolerance);
  check_near(where + " d_q", a.d_q, b.d_q, tolerance);
  check_near(where + " d_k", a.d_k, b.d_k, tolerance);
  check_near(where + " d_v", a.d_v, b.d_v, tolerance);
}

void check_same_all(const std::string& where, const AttentionResult& a, const AttentionResult& b) {
  check_same_bits(where + " z", a.z, b.z);
  check_same_bits(where + " lse", a.lse, b.lse);
  check_same_bits(where + " d_q", a.d_q, b.d_q);
  check_same_bits(where + " d_k", a.d_k, b.d_k);
  check_same_bits(where + " d_v", a.d_v, b.d_v);
}

void check_setting(const AttentionSetting& setting) {
  const AttentionFixture fixture(setting, 11);
  const AttentionResult reference = run_attention(make_cpu_context(1, Isa::specification), fixture);
  for (const Level& level : levels()) {
    const std::string where = setting.name + " on " + level.name;
    const AttentionResult one = run_attention(level.context(1), fixture);
    check_near_all(where, one, reference, 1e-5);
    check_same_all(where + ", 3 threads", run_attention(level.context(3), fixture), one);
  }
}

AttentionSetting small() {
  return {.name = "small",
          .heads = 4,
          .kv_heads = 2,
          .head_dim = 6,
          .lengths = {3, 1, 4},
          .prefixes = {}};
}

// d loss / d input of the whole attention for one input array, by differences.
using Member = std::vector<float> AttentionFixture::*;

double forward_loss(const AttentionFixture& fixture, const std::vector<float>& weights) {
  AttentionForward f = fixture.forward();
  std::vector<float> z(static_cast<std::size_t>(fixture.count()));
  f.z = z.data();
  attention_forward(make_cpu_context(1, Isa::specification), f);
  return weighted_sum(weights, z.data());
}

void check_input_gradient(const AttentionFixture& fixture, Member member,
                          const std::vector<float>& gradient, const std::string& name) {
  check_gradient({.name = name,
                  .x = fixture.*member,
                  .gradient = gradient,
                  .loss = [&](const std::vector<float>& x) {
                    AttentionFixture moved = fixture;
                    moved.*member = x;
                    return forward_loss(moved, fixture.d_z);
                  }});
}

void check_batches(std::int64_t window) {
  const AttentionFixture fixture({.name = "batch",
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .head_dim = 24,
                                  .lengths = {5, 1, 33, 8},
                                  .prefixes = {7, 0, 2, 19},
                                  .gated = true,
                                  .ranged = true,
                                  .kind = Replacement::token,
                                  .window = window},
                                 4);
  const std::int64_t width = fixture.shape.heads * fixture.shape.head_dim;
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const AttentionResult all = run_attention(context, fixture);
    for (std::size_t r = 0; r < fixture.setting.lengths.size(); ++r) {
      const AttentionResult one = run_attention(context, fixture.row(r));
      const auto part = [&](const std::vector<float>& values) {
        return std::vector<float>(values.begin() + fixture.row_begin[r] * width,
                                  values.begin() + fixture.row_begin[r + 1] * width);
      };
      const std::string where = "row alone on " + level.name;
      check_same_bits(where + " z", one.z, part(all.z));
      check_same_bits(where + " d_q", one.d_q, part(all.d_q));
      check_same_bits(where + " d_k", one.d_k, part(all.d_k));
      check_same_bits(where + " d_v", one.d_v, part(all.d_v));
    }
  }
}

void check_keys_only(std::int64_t window) {
  AttentionFixture some({.name = "keys only",
                         .heads = 4,
                         .kv_heads = 2,
                         .head_dim = 24,
                         .lengths = {5, 1, 133, 8, 60},
                         .prefixes = {7, 0, 270, 19, 0},
                         .gated = true,
                         .ranged = true,
                         .kind = Replacement::token,
                         .first_query = {4, 0, 57, 8, 59},
                         .window = window},
                        4);
  AttentionFixture all = some;  // d_z is 0 where some has no query
  all.setting.first_query.clear();
  const std::int64_t width = some.shape.heads * some.shape.head_dim;
  for (std::size_t r = 0; r < some.setting.lengths.size(); ++r) {
    std::fill_n(some.q.begin() + some.row_begin[r] * width, some.setting.first_query[r] * width,
                0.0f);
  }
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const std::string where = "keys only on " + level.name;
    const AttentionResult expected = run_attention(context, all);
    const AttentionResult result = run_attention(context, some);
    check_same_bits(where + " d_q", result.d_q, expected.d_q);
    check_same_bits(where + " d_k", result.d_k, expected.d_k);
    check_same_bits(where + " d_v", result.d_v, expected.d_v);
    for (std::size_t r = 0; r < some.setting.lengths.size(); ++r) {
      const std::int64_t first = some.row_begin[r] + some.setting.first_query[r];
      const auto queries = [&](const std::vector<float>& x, std::int64_t row) {
        return std::vector<float>(x.begin() + first * row, x.begin() + some.row_begin[r + 1] * row);
      };
      check_same_bits(where + " z", queries(result.z, width), queries(expected.z, width));
      check_same_bits(where + " raw", queries(result.raw, width), queries(expected.raw, width));
      check_same_bits(where + " lse", queries(result.lse, some.shape.heads),
                      queries(expected.lse, some.shape.heads));
    }
  }
}

}  // namespace

TEST_CASE("attention agrees with the specification: lengths, groups, head widths") {
  for (const std::int64_t head_dim : {1, 10, 16, 24, 64, 128}) {
    check_setting({.name = "ragged " + std::to_string(head_dim),
                   .heads = 4,
                   .kv_heads = 2,
                   .head_dim = head_dim,
                   .lengths = {1, 5, 0, 6, 7, 33},
                   .prefixes = {}});
  }
  check_setting({.name = "no groups",
                 .heads = 3,
                 .kv_heads = 3,
                 .head_dim = 8,
                 .lengths = {17, 16, 15},
                 .prefixes = {}});
  check_setting({.name = "one kv head",
                 .heads = 7,
                 .kv_heads = 1,
                 .head_dim = 12,
                 .lengths = {2, 9},
                 .prefixes = {}});
  check_setting({.name = "wide head",
                 .heads = 1,
                 .kv_heads = 1,
                 .head_dim = 300,
                 .lengths = {20},
                 .prefixes = {}});
}

TEST_CASE("attention reads prefixes") {
  check_setting({.name = "prefix",
                 .heads = 4,
                 .kv_heads = 2,
                 .head_dim = 24,
                 .lengths = {1, 5, 9, 3},
                 .prefixes = {0, 1, 31, 16}});
}

TEST_CASE("attention crosses its block sizes") {
  check_setting({.name = "long",
                 .heads = 2,
                 .kv_heads = 1,
                 .head_dim = 16,
                 .lengths = {140, 3},
                 .prefixes = {180, 260}});
}

TEST_CASE("attention with gates of every kind") {
  for (const AttentionSetting& setting : gates_of_every_kind()) check_setting(setting);
}

TEST_CASE("attention with a window") {
  for (const AttentionSetting& setting : windows_of_every_kind()) check_setting(setting);
}

TEST_CASE("a query with a window attends to a row of those tokens alone") {
  constexpr std::int64_t window = 5;
  const AttentionFixture fixture({.name = "window", .lengths = {12}, .prefixes = {}, .window = 5},
                                 7);
  const AttentionFixture whole({.name = "no window", .lengths = {12}, .prefixes = {}}, 7);
  const Context context = make_cpu_context(1, Isa::specification);
  const AttentionResult result = run_attention(context, fixture);
  const std::int64_t width = whole.shape.heads * whole.shape.head_dim;
  const std::int64_t kv_width = whole.shape.kv_heads * whole.shape.head_dim;
  for (std::int64_t i = 0; i < 12; ++i) {
    const std::int64_t first = std::max<std::int64_t>(0, i + 1 - window);
    const std::int32_t begin[] = {0, static_cast<std::int32_t>(i + 1 - first)};
    std::vector<float> z(static_cast<std::size_t>(begin[1] * width));
    AttentionForward f = whole.forward();
    f.layout = {.rows = 1,
                .row_begin = begin,
                .longest_row = begin[1],
                .longest_context = begin[1],
                .token_count = begin[1]};
    f.q += first * width;
    f.k += first * kv_width;
    f.v += first * kv_width;
    f.z = z.data();
    attention_forward(context, f);
    check_same_bits("token " + std::to_string(i), {z.end() - width, z.end()},
                    {result.z.begin() + i * width, result.z.begin() + (i + 1) * width});
  }
}

TEST_CASE("a query with a window of one token reads its own value, and has no gradient") {
  const AttentionFixture fixture({.name = "window of one",
                                  .kv_heads = 4,
                                  .lengths = {12, 1},
                                  .prefixes = {3, 40},
                                  .window = 1},
                                 7);
  for (const Level& level : levels()) {
    const AttentionResult result = run_attention(level.context(2), fixture);
    check_near("z on " + level.name, result.z, fixture.v, 1e-6);
    check_near("d_v on " + level.name, result.d_v, fixture.d_z, 1e-6);
    for (const std::vector<float>* gradient : {&result.d_q, &result.d_k}) {
      const auto grown = std::count_if(gradient->begin(), gradient->end(),
                                       [](float value) { return !(std::fabs(value) <= 1e-6f); });
      CHECK_MESSAGE(grown == 0, level.name);
    }
  }
}

TEST_CASE("a window that no query leaves keeps the bits") {
  for (const Level& level : levels()) {
    const AttentionSetting setting{.name = "wide window", .lengths = {40, 3}, .prefixes = {30, 66}};
    AttentionSetting wide = setting;
    wide.window = 70;
    check_same_all("wide window on " + level.name,
                   run_attention(level.context(2), AttentionFixture(wide, 5)),
                   run_attention(level.context(2), AttentionFixture(setting, 5)));
  }
}

TEST_CASE("attention with large scores stays finite") {
  check_setting({.name = "large scores",
                 .heads = 2,
                 .kv_heads = 2,
                 .head_dim = 16,
                 .lengths = {12},
                 .prefixes = {},
                 .score_range = 60.0f});
}

TEST_CASE("a query that attends to one key gets no gradient from rounding") {
  // Rows of one token; and rows whose first key takes all but e^-60 of every query.
  AttentionFixture fixture(
      {.name = "one key", .kv_heads = 4, .lengths = {1, 1, 9, 600}, .prefixes = {}}, 3);
  const std::int64_t width = fixture.shape.heads * fixture.shape.head_dim;
  for (std::int64_t i = 2 * width; i < fixture.count(); ++i) {
    const bool first_of_head = i % fixture.shape.head_dim == 0;
    fixture.q[i] = first_of_head ? 10.0f : 0.0f;
    const std::int64_t token = i / width;
    if (first_of_head) fixture.k[i] = token == 2 || token == 11 ? 10.0f : -10.0f;
  }
  for (const Level& level : levels()) {
    if (!level.isa) continue;  // a GPU has the sum of d_raw * raw for that of p d_p
    const AttentionResult result = run_attention(level.context(1), fixture);
    for (const std::vector<float>* gradient : {&result.d_q, &result.d_k}) {
      const auto grown = std::count_if(gradient->begin(), gradient->end(),
                                       [](float value) { return !(std::fabs(value) <= 1e-10f); });
      CHECK_MESSAGE(grown == 0, level.name);
    }
  }
}

TEST_CASE("a NaN of a key shows in the queries that see it and in no other") {
  AttentionSetting setting;
  setting.name = "NaN";
  setting.lengths = {5, 40, 300};
  AttentionFixture fixture(setting, 9);
  const std::int64_t token = fixture.row_begin[2] + 270;  // kv head 0: query heads 0 and 1
  const std::int64_t kv_width = fixture.shape.kv_heads * fixture.shape.head_dim;
  fixture.k[static_cast<std::size_t>(token * kv_width)] = std::numeric_limits<float>::quiet_NaN();
  for (const Level& level : levels()) {
    const AttentionResult result = run_attention(level.context(2), fixture);
    std::int64_t wrong = 0;
    for (std::int64_t t = 0; t < fixture.tokens(); ++t) {
      for (std::int64_t head = 0; head < fixture.shape.heads; ++head) {
        const bool sees = t >= token && head < 2;
        const std::int64_t at = t * fixture.shape.heads + head;
        wrong += std::isnan(result.lse[static_cast<std::size_t>(at)]) != sees;
        const std::int64_t z = at * fixture.shape.head_dim;
        wrong += std::isnan(result.z[static_cast<std::size_t>(z)]) != sees;
      }
    }
    CHECK_MESSAGE(wrong == 0, level.name);
  }
}

TEST_CASE("a row's attention does not depend on its batch") {
  for (const std::int64_t window : {0, 3, 20}) check_batches(window);
}

TEST_CASE("tokens that are keys only change no bit of the queries") {
  for (const std::int64_t window : {0, 20}) check_keys_only(window);
}

TEST_CASE("few long rows give the same bits on any number of threads") {
  for (const std::int64_t window : {0, 50}) {
    const AttentionFixture fixture({.name = "few long rows",
                                    .heads = 6,
                                    .kv_heads = 3,
                                    .head_dim = 24,
                                    .lengths = {290, 3},
                                    .prefixes = {40, 0},
                                    .first_query = {31, 0},
                                    .window = window},
                                   6);
    for (const Level& level : levels()) {
      const AttentionResult one = run_attention(level.context(1), fixture);
      for (const int threads : {2, 4, 5, 16}) {
        const AttentionResult many = run_attention(level.context(threads), fixture);
        const std::string where = level.name + ", " + std::to_string(threads) + " threads";
        check_same_bits(where + " z", many.z, one.z);
        check_same_bits(where + " lse", many.lse, one.lse);
        check_same_bits(where + " d_k", many.d_k, one.d_k);
      }
    }
  }
}

TEST_CASE("a gate of 1 keeps the bits and a gate of 0 gives the replacement exactly") {
  for (const Replacement kind : kReplacements) {
    AttentionFixture fixture({.name = "exact gate",
                              .heads = 2,
                              .kv_heads = 1,
                              .head_dim = 5,
                              .lengths = {4, 3},
                              .prefixes = {},
                              .gated = true,
                              .kind = kind},
                             8);
    fixture.scale = {1.0f, 0.0f, 0.0f, 1.0f};
    for (const Level& level : levels()) {
      const AttentionResult result = run_attention(level.context(1), fixture);
      std::vector<float> expected = result.raw;
      for (std::int64_t t = 0; t < 7; ++t) {
        const std::int64_t row = t < 4 ? 0 : 1;
        const std::int64_t head = 1 - row;
        const std::int64_t position = t - fixture.row_begin[static_cast<std::size_t>(row)];
        const std::int64_t stored =
            fixture.replacement_begin[static_cast<std::size_t>(row)] + position;
        for (std::int64_t d = 0; d < 5; ++d) {
          const std::int64_t first = kind == Replacement::shared     ? head
                                     : kind == Replacement::position ? position * 2 + head
                                                                     : stored * 2 + head;
          expected[static_cast<std::size_t>((t * 2 + head) * 5 + d)] =
              kind == Replacement::zero
                  ? 0.0f
                  : fixture.replacement[static_cast<std::size_t>(first * 5 + d)];
        }
      }
      check_same_bits("exact gate on " + level.name, result.z, expected);
    }
  }
}

TEST_CASE("attention without raw and lse writes the same z") {
  const AttentionFixture fixture({.name = "z only",
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .head_dim = 10,
                                  .lengths = {9, 4},
                                  .prefixes = {},
                                  .gated = true},
                                 6);
  for (const Level& level : levels()) {
    const Context context = level.context(1);
    Outputs outputs;
    AttentionForward f = fixture.forward();
    f.z = outputs.dense("z", fixture.count());
    attention_forward(context, f);
    outputs.check("z only");
    check_same_bits("z only", outputs["z"].values(), run_attention(context, fixture).z);
  }
}

TEST_CASE("attention gradients equal finite differences") {
  for (const bool gated : {false, true}) {
    AttentionSetting setting = small();
    setting.kv_heads = 4;  // k and v per query head, so that d_k and d_v are plain gradients
    setting.prefixes = {2, 0, 5};
    setting.gated = gated;
    setting.ranged = gated;
    setting.kind = Replacement::shared;
    setting.window = gated ? 3 : 0;
    const AttentionFixture fixture(setting, 3);
    for (const Level& level : levels()) {
      const std::string where = " on " + level.name;
      const AttentionResult result = run_attention(level.context(1), fixture);
      check_input_gradient(fixture, &AttentionFixture::q, result.d_q, "d_q" + where);
      check_input_gradient(fixture, &AttentionFixture::k, result.d_k, "d_k" + where);
      check_input_gradient(fixture, &AttentionFixture::v, result.d_v, "d_v" + where);
    }
  }
}

TEST_CASE("summed over its group, the gradient per query head is the grouped gradient") {
  const AttentionFixture fixture(small(), 21);
  const Context context = make_cpu_context(2, Isa::specification);
  const AttentionResult result = run_attention(context, fixture);
  std::vector<float> grouped(fixture.k.size());
  sum_head_groups(context, fixture.shape, fixture.tokens(), result.d_k.data(), grouped.data());
  check_input_gradient(fixture, &AttentionFixture::k, grouped, "grouped d_k");
  sum_head_groups(context, fixture.shape, fixture.tokens(), result.d_v.data(), grouped.data());
  check_input_gradient(fixture, &AttentionFixture::v, grouped, "grouped d_v");
}

TEST_CASE("attention refuses bad arguments by name") {
  const AttentionFixture fixture(small(), 1);
  const Context context = make_cpu_context(1, Isa::specification);
  std::vector<float> z(static_cast<std::size_t>(fixture.count()));
  AttentionForward bad = fixture.forward();
  CHECK_THROWS_WITH_AS(attention_forward(context, bad), doctest::Contains("z is null"), Error);
  bad.z = z.data();
  bad.shape.kv_heads = 3;
  CHECK_THROWS_WITH_AS(attention_forward(context, bad), doctest::Contains("multiple"), Error);
  bad = fixture.forward();
  bad.z = z.data();
  bad.shape.window = -1;
  CHECK_THROWS_WITH_AS(attention_forward(context, bad), doctest::Contains("window"), Error);
  bad = fixture.forward();
  bad.z = z.data();
  bad.gate.scale = fixture.scale.data();
  bad.gate.kind = Replacement::token;
  bad.gate.replacement = fixture.replacement.data();
  CHECK_THROWS_WITH_AS(attention_forward(context, bad), doctest::Contains("replacement_begin"),
                       Error);
  bad = fixture.forward();
  bad.z = z.data();
  const std::int32_t descending[] = {0, 4, 3, 8};
  bad.layout.row_begin = descending;
  CHECK_THROWS_WITH_AS(attention_forward(context, bad), doctest::Contains("ascending"), Error);
  bad = fixture.forward();
  bad.z = z.data();
  --bad.layout.token_count;
  CHECK_THROWS_WITH_AS(attention_forward(context, bad), doctest::Contains("token_count"), Error);
  bad.layout = fixture.layout();
  const std::int32_t outside[] = {3, 2, 0};
  bad.layout.first_query = outside;
  CHECK_THROWS_WITH_AS(attention_forward(context, bad), doctest::Contains("first_query"), Error);
  AttentionSetting with_prefixes = small();
  with_prefixes.prefixes = {2, 0, 1};
  const AttentionFixture stored(with_prefixes, 1);
  bad = stored.forward();
  bad.z = z.data();
  --bad.layout.store_tokens;
  CHECK_THROWS_WITH_AS(attention_forward(context, bad), doctest::Contains("store_tokens"), Error);
}

}  // namespace headspark::test
