// linear_forward_each on every level, against the specification and bit for bit with its steps:
// heads that read rows of their own through a norm, and heads that write rows of their own.
#include "headspark/ops/linear_each.h"

#include <doctest/doctest.h>

#include "headspark/error.h"
#include "op_suite.h"
#include "ops/steps.h"
#include "stored_layer.h"

namespace headspark::test {
namespace {

struct HeadsCase {
  std::string name;
  std::int64_t tokens = 7;
  std::int64_t width = 40;
  std::int64_t head_dim = 8;
  std::int64_t heads = 3;
  LayerForm form = {};
  NormKind kind = NormKind::rms;
};

struct HeadLayers {
  HeadsCase c;
  Random random{11};
  StoredLayer read;   // [heads * head_dim, width]
  StoredLayer write;  // [width, heads * head_dim]
  NormWeight norm;
  std::vector<float> x, z;

  explicit HeadLayers(const HeadsCase& heads_case)
      : c(heads_case),
        read(c.heads * c.head_dim, c.width, c.form, random),
        write(c.width, c.heads * c.head_dim, c.form, random) {
    norm.kind = c.kind;
    norm.weight = random.values(c.width, 0.5f, 1.5f);
    if (c.kind == NormKind::layer) norm.bias = random.values(c.width);
    x = random.values(c.heads * c.tokens * c.width, -1.0f, 2.0f);
    z = random.values(c.tokens * c.heads * c.head_dim);
  }

  /// Every head reads its own [tokens, width] and writes its part of y [tokens, heads, head_dim].
  LinearEach reading(float* normed, float* y) const {
    LinearEach each{.norm = &norm, .layers = {}, .normed = normed};
    for (std::int64_t head = 0; head < c.heads; ++head) {
      LinearForward p;
      p.weight = &read.weight;
      p.slice.out_begin = head * c.head_dim;
      p.slice.out_end = p.slice.out_begin + c.head_dim;
      p.tokens = c.tokens;
      p.x = x.data() + head * c.tokens * c.width;
      p.x_stride = c.width;
      p.y = y + head * c.head_dim;
      p.y_stride = c.heads * c.head_dim;
      each.layers.push_back(p);
    }
    return each;
  }
  /// Every head reads its part of z and writes y [heads, tokens, width].
  LinearEach writing(float* y) const {
    LinearEach each;
    for (std::int64_t head = 0; head < c.heads; ++head) {
      LinearForward p;
      p.weight = &write.weight;
      p.slice.in_begin = head * c.head_dim;
      p.slice.in_end = p.slice.in_begin + c.head_dim;
      p.tokens = c.tokens;
      p.x = z.data() + head * c.head_dim;
      p.x_stride = c.heads * c.head_dim;
      p.y = y + head * c.tokens * c.width;
      p.y_stride = c.width;
      p.with_bias = head % 2 == 0;
      each.layers.push_back(p);
    }
    return each;
  }

  template <typename Op>
  void run(const Op& op, const Context& context, Outputs& outputs) const {
    GuardedArray normed("normed", c.tokens * c.width);
    op(context, reading(normed.data(), outputs.dense("read", c.tokens * c.heads * c.head_dim)));
    op(context, writing(outputs.dense("written", c.heads * c.tokens * c.width)));
    CHECK(normed.guards_intact());
  }
};

void check_heads(const HeadsCase& c) {
  const HeadLayers heads(c);
  check_case({c.name, 3e-6, [&](const Context& context, Outputs& outputs) {
                heads.run(linear_forward_each, context, outputs);
              }});
  for (const Level& level : levels()) {
    Outputs once, steps;
    heads.run(linear_forward_each, level.context(3), once);
    heads.run(linear_forward_each_in_steps, level.context(1), steps);
    for (const char* name : {"read", "written"}) {
      check_same_bits(c.name + ", " + name + " on " + level.name, once[name].values(),
                      steps[name].values());
    }
  }
}

}  // namespace

TEST_CASE("heads read and write rows of their own as one layer after the other would") {
  check_heads({.name = "three heads"});
  check_heads({.name = "one token", .tokens = 1, .width = 33, .head_dim = 16, .heads = 1});
  check_heads({.name = "heads inside of panels",
               .tokens = 20,
               .width = 29,
               .head_dim = 10,
               .heads = 5,
               .form = {.bias = true}});
  check_heads({.name = "no norm", .kind = NormKind::fixed});
  check_heads({.name = "odd heads, fp32, LayerNorm",
               .tokens = 9,
               .head_dim = 5,
               .form = {.bf16 = false, .bias = true},
               .kind = NormKind::layer});
}

TEST_CASE("heads of many tokens are cut into shares of rows, and add low-rank terms") {
  check_heads({.name = "many tokens", .tokens = 411, .width = 70, .head_dim = 16, .heads = 4});
  check_heads({.name = "deep rows", .tokens = 70, .width = 1100, .head_dim = 32, .heads = 2});
  check_heads({.name = "low-rank terms",
               .tokens = 67,
               .width = 300,
               .head_dim = 24,
               .form = {.bias = true, .rank = 5}});
  check_heads({.name = "low-rank terms of fp32 at odd depths",
               .tokens = 40,
               .head_dim = 7,
               .form = {.bf16 = false, .rank = 3}});
  check_heads({.name = "low-rank terms of bf16 at odd depths",
               .tokens = 40,
               .head_dim = 7,
               .form = {.rank = 3}});
  for (const bool bf16 : {false, true}) {
    check_heads({.name = "bf16 low-rank terms at odd depths",
                 .tokens = 40,
                 .head_dim = 7,
                 .form = {.bf16 = bf16, .rank = 3, .bf16_factors = true}});
  }
}

TEST_CASE("linear_forward_each refuses what it cannot do by name, and nothing is nothing") {
  const HeadLayers heads({.name = "refused"});
  const Context context = make_cpu_context(1, Isa::portable);
  linear_forward_each(context, {});
  std::vector<float> normed(7 * 40), y(7 * 24);
  LinearEach wrong = heads.reading(nullptr, y.data());
  CHECK_THROWS_WITH_AS(linear_forward_each(context, wrong), doctest::Contains("normed is null"),
                       Error);
  wrong = heads.reading(normed.data(), y.data());
  wrong.layers[1].residual = y.data();
  CHECK_THROWS_WITH_AS(linear_forward_each(context, wrong), doctest::Contains("residual"), Error);
  wrong = heads.reading(normed.data(), y.data());
  wrong.layers[2].slice.in_end = 39;
  CHECK_THROWS_WITH_AS(linear_forward_each(context, wrong), doctest::Contains("width of the norm"),
                       Error);
  wrong = heads.reading(normed.data(), nullptr);
  wrong.layers[0].y = nullptr;
  CHECK_THROWS_WITH_AS(linear_forward_each(context, wrong), doctest::Contains("y is null"), Error);
}

}  // namespace headspark::test
