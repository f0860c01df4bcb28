// rotary on every level: partial rotation, inverse, known angles.
#include "headspark/ops/rotary.h"

#include <doctest/doctest.h>

#include <cmath>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

RotaryTable make_table(std::int64_t positions, std::int64_t pairs) {
  RotaryTable table;
  table.positions = positions;
  table.pairs = pairs;
  std::vector<float> cosine;
  std::vector<float> sine;
  for (std::int64_t p = 0; p < positions; ++p) {
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(p) * std::pow(10000.0, -static_cast<double>(i) / 8);
      cosine.push_back(static_cast<float>(std::cos(angle)));
      sine.push_back(static_cast<float>(std::sin(angle)));
    }
  }
  table.cosine = std::move(cosine);
  table.sine = std::move(sine);
  return table;
}

}  // namespace

TEST_CASE("rotary agrees with the specification") {
  Random random(3);
  for (const std::int64_t tokens : {0, 1, 6, 33}) {
    for (const auto& [head_dim, pairs] : {std::pair<int, int>{24, 12}, {10, 5}, {64, 8}, {6, 0}}) {
      const RotaryTable table = make_table(40, pairs);
      std::vector<std::int32_t> positions;
      for (std::int64_t t = 0; t < tokens; ++t) {
        positions.push_back(static_cast<std::int32_t>(random.below(40)));
      }
      const std::vector<float> x = random.values(tokens * 3 * head_dim);
      check_case({"rotary", 1e-6, [&, width = head_dim](const Context& context, Outputs& outputs) {
                    Rotary p{&table, positions.data(), tokens, 3, width, outputs.initial("f", x)};
                    rotary_forward(context, p);
                    p.x = outputs.initial("b", x);
                    rotary_backward(context, p);
                  }});
    }
  }
}

TEST_CASE("rotary of two arrays at once has the bits of one after the other") {
  Random random(4);
  const RotaryTable table = make_table(20, 6);
  const std::vector<std::int32_t> positions = {3, 0, 19, 7, 7};
  const std::vector<float> q = random.values(5 * 4 * 14);
  const std::vector<float> k = random.values(5 * 2 * 14);
  for (const auto rotate : {&rotary_forward, &rotary_backward}) {
    for (const Level& level : levels()) {
      const Context context = level.context(1);
      Outputs both;
      Rotary p{&table, positions.data(), 5, 4, 14, both.initial("q", q), 2, both.initial("k", k)};
      rotate(context, p);
      both.check("rotary of two arrays on " + level.name);
      Outputs single;
      rotate(context, {&table, positions.data(), 5, 4, 14, single.initial("q", q)});
      rotate(context, {&table, positions.data(), 5, 2, 14, single.initial("k", k)});
      check_same_bits("q", both["q"].values(), single["q"].values());
      check_same_bits("k", both["k"].values(), single["k"].values());
      CHECK(both["k"].values() != k);
      p = {&table, positions.data(), 5, 0, 14, nullptr, 2, both.initial("k alone", k)};
      rotate(context, p);
      check_same_bits("k alone", both["k alone"].values(), single["k"].values());
    }
  }
}

TEST_CASE("rotary from elsewhere has the bits of a copy rotated in place") {
  Random random(5);
  const RotaryTable table = make_table(20, 5);  // of 14: four elements are not rotated
  const std::vector<std::int32_t> positions = {3, 0, 19, 7, 7};
  const std::vector<float> q = random.values(5 * 4 * 14);
  const std::vector<float> k = random.values(5 * 2 * 14);
  for (const auto rotate : {&rotary_forward, &rotary_backward}) {
    for (const Level& level : levels()) {
      const Context context = level.context(2);
      Outputs outputs;
      rotate(context, {.table = &table,
                       .positions = positions.data(),
                       .tokens = 5,
                       .heads = 4,
                       .head_dim = 14,
                       .x = outputs.initial("q", q),
                       .second_heads = 2,
                       .second = outputs.initial("k", k)});
      Rotary p{
          .table = &table, .positions = positions.data(), .tokens = 5, .heads = 4, .head_dim = 14};
      p.x = outputs.dense("q there", static_cast<std::int64_t>(q.size()));
      p.x_from = outputs.initial("q here", q);
      p.second_heads = 2;
      p.second = outputs.dense("k there", static_cast<std::int64_t>(k.size()));
      p.second_from = outputs.initial("k here", k);
      rotate(context, p);
      outputs.check("rotary from elsewhere on " + level.name);
      check_same_bits("q", outputs["q there"].values(), outputs["q"].values());
      check_same_bits("k", outputs["k there"].values(), outputs["k"].values());
      check_same_bits("q is left", outputs["q here"].values(), q);
      // One of both in place.
      p.x = outputs.initial("q again", q);
      p.x_from = nullptr;
      rotate(context, p);
      check_same_bits("q in place", outputs["q again"].values(), outputs["q"].values());
    }
  }
}

TEST_CASE("a scale multiplies what is rotated, and its inverse undoes it") {
  Random random(6);
  const RotaryTable table = make_table(20, 18);
  const std::vector<std::int32_t> positions = {3, 0, 19, 7, 7};
  const std::int64_t width = 48;  // twelve elements of each head are not rotated
  const std::vector<float> x = random.values(5 * 2 * width);
  for (const auto rotate : {&rotary_forward, &rotary_backward}) {
    check_case({"scaled rotary", 1e-6, [&](const Context& context, Outputs& outputs) {
                  rotate(context, {.table = &table,
                                   .positions = positions.data(),
                                   .tokens = 5,
                                   .heads = 2,
                                   .head_dim = width,
                                   .x = outputs.initial("x", x),
                                   .scale = 1.25f});
                }});
  }
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    Outputs outputs;
    Rotary p{.table = &table,
             .positions = positions.data(),
             .tokens = 5,
             .heads = 2,
             .head_dim = width,
             .x = outputs.initial("plain", x)};
    rotary_forward(context, p);
    p.x = outputs.initial("scaled", x);
    p.scale = 4.0f;
    rotary_forward(context, p);
    std::vector<float> wanted = outputs["plain"].values();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (i % width < 36) wanted[i] *= 4.0f;
    }
    check_same_bits("scaled", outputs["scaled"].values(), wanted);
    p.scale = 1.0f / p.scale;
    rotary_backward(context, p);
    check_near("undone", outputs["scaled"].values(), x, 1e-6);
  }
}

TEST_CASE("rotary_backward undoes rotary_forward and turns by the table's angle") {
  const RotaryTable table = make_table(5, 1);
  const std::int32_t position[] = {3};
  for (const Level& level : levels()) {
    const Context context = level.context(1);
    std::vector<float> x = {1.0f, 0.0f, 7.0f};
    const Rotary p{&table, position, 1, 1, 3, x.data()};
    rotary_forward(context, p);
    check_near("turned", x, {std::cos(3.0f), std::sin(3.0f), 7.0f}, 1e-6);
    rotary_backward(context, p);
    check_near("back", x, {1.0f, 0.0f, 7.0f}, 1e-6);
  }
}

TEST_CASE("rotary refuses positions outside its table") {
  const RotaryTable table = make_table(5, 1);
  const std::int32_t position[] = {5};
  std::vector<float> x(2);
  CHECK_THROWS_WITH_AS(rotary_forward(make_cpu_context(1, Isa::specification),
                                      {&table, position, 1, 1, 2, x.data()}),
                       doctest::Contains("outside the table"), Error);
  CHECK_THROWS_WITH_AS(rotary_forward(make_cpu_context(1, Isa::specification),
                                      {&table, position, 1, 1, 2, x.data(), 1}),
                       doctest::Contains("second_heads"), Error);
  const RotaryTable none = make_table(5, 0);
  const Rotary copied{.table = &none,
                      .positions = position,
                      .tokens = 1,
                      .heads = 1,
                      .head_dim = 2,
                      .x = x.data(),
                      .x_from = x.data()};
  CHECK_THROWS_WITH_AS(rotary_forward(make_cpu_context(1, Isa::specification), copied),
                       doctest::Contains("no pairs"), Error);
}

}  // namespace headspark::test
