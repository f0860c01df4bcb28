// projections on every level: step by step and in blocks of rows (130 tokens on one thread, not on
// three), which must give the same bits; several layers of unequal width, biases, low-rank terms.
#include "headspark/ops/projections.h"

#include <doctest/doctest.h>

#include "headspark/error.h"
#include "op_suite.h"
#include "stored_layer.h"

namespace headspark::test {
namespace {

struct ProjectionsCase {
  std::string name;
  std::int64_t tokens = 5;
  std::int64_t width = 24;
  std::vector<std::int64_t> outs = {40, 8, 16};
  NormKind kind = NormKind::rms;
  bool bias = false;
  bool bf16 = true;
  std::vector<std::int64_t> ranks = {};  // of low-rank terms of the first layers
  bool bf16_factors = false;             // of the terms
};

struct Projections {
  ProjectionsCase c;
  std::deque<StoredLayer> layers;  // weights point into them
  NormWeight norm;
  std::vector<float> x, d_x;
  std::vector<std::vector<float>> d_y;

  explicit Projections(const ProjectionsCase& projections_case) : c(projections_case) {
    Random random(static_cast<std::uint64_t>(c.tokens + c.width));
    for (std::size_t i = 0; i < c.outs.size(); ++i) {
      const std::int64_t rank = i < c.ranks.size() ? c.ranks[i] : 0;
      layers.emplace_back(c.outs[i], c.width, LayerForm{c.bf16, c.bias, rank, c.bf16_factors},
                          random);
      d_y.push_back(random.values(c.tokens * c.outs[i]));
    }
    norm.kind = c.kind;
    norm.weight = random.values(c.width, 0.5f, 1.5f);
    if (c.kind == NormKind::layer) norm.bias = random.values(c.width);
    x = random.values(c.tokens * c.width);
    d_x = random.values(c.tokens * c.width);
  }
  Projections(const Projections&) = delete;
  Projections& operator=(const Projections&) = delete;
};

void run_forward(const Projections& all, const std::vector<float>& x_in, const Context& context,
                 Outputs& outputs) {
  const ProjectionsCase& c = all.c;
  const GuardedArray x("x", x_in);
  GuardedArray normed("normed", c.tokens * c.width);
  ProjectionsForward p;
  p.norm = &all.norm;
  p.tokens = c.tokens;
  p.x = x.data();
  p.normed = normed.data();
  for (std::size_t i = 0; i < all.layers.size(); ++i) {
    p.outputs.push_back(
        {&all.layers[i].weight, outputs.dense("y" + std::to_string(i), c.tokens * c.outs[i])});
  }
  projections_forward(context, p);
  CHECK(normed.guards_intact());
}

void run_backward(const Projections& all, const Context& context, Outputs& outputs) {
  const ProjectionsCase& c = all.c;
  const GuardedArray x("x", all.x);
  GuardedArray d_normed("d_normed", c.tokens * c.width);
  ProjectionsBackward p;
  p.norm = &all.norm;
  p.tokens = c.tokens;
  p.x = x.data();
  p.d_x = outputs.initial("d_x", all.d_x);
  p.d_normed = d_normed.data();
  for (std::size_t i = 0; i < all.layers.size(); ++i) {
    p.inputs.push_back({&all.layers[i].weight, all.d_y[i].data()});
  }
  projections_backward(context, p);
  CHECK(d_normed.guards_intact());
}

void check_projections(const ProjectionsCase& c) {
  const Projections all(c);
  check_case({"projections_forward " + c.name, 3e-6, [&](const Context& context, Outputs& outputs) {
                run_forward(all, all.x, context, outputs);
              }});
  check_case(
      {"projections_backward " + c.name, 3e-6,
       [&](const Context& context, Outputs& outputs) { run_backward(all, context, outputs); }});
}

}  // namespace

TEST_CASE("projections agree with the specification") {
  check_projections({.name = "three layers"});
  check_projections({.name = "one token", .tokens = 1, .width = 33, .outs = {17}});
  check_projections(
      {.name = "LayerNorm, biases, fp32", .kind = NormKind::layer, .bias = true, .bf16 = false});
  check_projections({.name = "low-rank", .tokens = 7, .ranks = {3, 0, 9}});
  check_projections({.name = "no norm", .kind = NormKind::fixed});
}

TEST_CASE("projections in blocks agree with the specification, and bit for bit with their steps") {
  check_projections({.name = "130 tokens", .tokens = 130, .width = 70, .outs = {72, 24, 24}});
  check_projections({.name = "several blocks, wide layers",
                     .tokens = 180,
                     .width = 700,
                     .outs = {420, 90},
                     .bias = true});
  check_projections({.name = "no norm", .tokens = 130, .width = 70, .kind = NormKind::fixed});
  check_projections({.name = "fp32, LayerNorm",
                     .tokens = 131,
                     .width = 33,
                     .outs = {49},
                     .kind = NormKind::layer,
                     .bf16 = false});
}

TEST_CASE("projections in blocks add low-rank terms, bit for bit as their steps do") {
  check_projections({.name = "terms of all layers",
                     .tokens = 130,
                     .width = 70,
                     .outs = {72, 24, 24},
                     .ranks = {8, 3, 17}});
  check_projections({.name = "bf16 terms of all layers",
                     .tokens = 130,
                     .width = 70,
                     .outs = {72, 24, 24},
                     .ranks = {8, 3, 17},
                     .bf16_factors = true});
  check_projections({.name = "a term of the second layer, several blocks, wide layers",
                     .tokens = 180,
                     .width = 700,
                     .outs = {420, 90},
                     .bias = true,
                     .ranks = {0, 40}});
  check_projections({.name = "fp32, LayerNorm, more ranks than a block of depth",
                     .tokens = 131,
                     .width = 33,
                     .outs = {49},
                     .kind = NormKind::layer,
                     .bf16 = false,
                     .ranks = {300}});
}

TEST_CASE("projections gradients equal finite differences") {
  for (const auto& [tokens, ranks] : {std::pair<std::int64_t, std::vector<std::int64_t>>{3, {}},
                                      {64, {}},
                                      {3, {2, 1}},
                                      {64, {2, 1}}}) {
    ProjectionsCase c{.name = "gradient", .tokens = tokens, .width = 6, .outs = {5, 3}};
    c.ranks = ranks;
    const Projections all(c);
    const Context specification = make_cpu_context(1, Isa::specification);
    for (const Level& level : levels()) {
      Outputs backward;
      run_backward(all, level.context(1), backward);
      std::vector<float> gradient = backward["d_x"].values();
      for (std::size_t i = 0; i < gradient.size(); ++i) gradient[i] -= all.d_x[i];
      check_gradient({.name = "x on " + level.name,
                      .x = all.x,
                      .gradient = gradient,
                      .loss =
                          [&](const std::vector<float>& x) {
                            Outputs outputs;
                            run_forward(all, x, specification, outputs);
                            return weighted_sum(all.d_y[0], outputs["y0"].data()) +
                                   weighted_sum(all.d_y[1], outputs["y1"].data());
                          },
                      .step = 3e-3f});
    }
  }
}

TEST_CASE("projections refuse bad arguments by name") {
  const Context context = make_cpu_context(1, Isa::specification);
  const Projections all({.name = "bad"});
  std::vector<float> y(static_cast<std::size_t>(all.c.tokens * 64));
  ProjectionsForward p;
  p.norm = &all.norm;
  p.tokens = all.c.tokens;
  p.x = all.x.data();
  CHECK_THROWS_WITH_AS(projections_forward(context, p), doctest::Contains("normed is null"), Error);
  p.normed = y.data();
  p.outputs = {{&all.layers[0].weight, nullptr}};
  CHECK_THROWS_WITH_AS(projections_forward(context, p), doctest::Contains("y is null"), Error);
  const Projections wider({.name = "wider", .width = 25});
  p.outputs = {{&wider.layers[0].weight, y.data()}};
  CHECK_THROWS_WITH_AS(projections_forward(context, p), doctest::Contains("width of the norm"),
                       Error);
  ProjectionsBackward b;
  b.norm = &all.norm;
  b.x = all.x.data();
  CHECK_THROWS_WITH_AS(projections_backward(context, b), doctest::Contains("d_x is null"), Error);
}

}  // namespace headspark::test
