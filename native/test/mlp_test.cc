// mlp on every level: gated or not, norms, biases, storage types; step by step and in blocks of
// rows (150 tokens on one thread, not on three), which must give the same bits.
#include "headspark/ops/mlp.h"

#include <doctest/doctest.h>

#include "headspark/error.h"
#include "kept_rows.h"
#include "op_suite.h"
#include "stored_layer.h"

namespace headspark::test {
namespace {

struct MlpCase {
  std::string name;
  std::int64_t tokens = 5;
  std::int64_t hidden = 24;
  std::int64_t intermediate = 40;
  bool gated = true;
  bool norm = true;
  NormKind kind = NormKind::rms;
  bool bias = false;
  bool bf16 = true;
  bool in_place = false;  // y is x and the residual
  bool out = false;       // the MLP's own output is wanted
  bool residual = true;
  bool keep_inputs = true;
  std::vector<std::int64_t> ranks = {0, 0, 0};  // of low-rank terms of gate, up and down
  bool bf16_factors = false;                    // of the terms
  Activation activation = Activation::silu;
};

// The weights of a case and inputs of both directions.
struct Mlp {
  MlpCase c;
  Random random;
  StoredLayer gate;
  StoredLayer up;
  StoredLayer down;
  NormWeight norm;
  std::vector<float> x, residual, d_y, d_residual;

  explicit Mlp(const MlpCase& mlp_case)
      : c(mlp_case),
        random(static_cast<std::uint64_t>(c.tokens + c.hidden)),
        gate(c.intermediate, c.hidden, {c.bf16, c.bias, c.ranks[0], c.bf16_factors}, random),
        up(c.intermediate, c.hidden, {c.bf16, c.bias, c.ranks[1], c.bf16_factors}, random),
        down(c.hidden, c.intermediate, {c.bf16, c.bias, c.ranks[2], c.bf16_factors}, random) {
    norm.kind = c.kind;
    norm.weight = random.values(c.hidden, 0.5f, 1.5f);
    if (c.kind == NormKind::layer) norm.bias = random.values(c.hidden);
    const std::int64_t count = c.tokens * c.hidden;
    x = random.values(count);
    residual = random.values(count);
    d_y = random.values(count);
    d_residual = random.values(count);
  }

  MlpWeights weights(bool with_norm) const {
    return {with_norm ? &norm : nullptr, c.gated ? &gate.weight : nullptr, &up.weight, &down.weight,
            c.activation};
  }
  std::int64_t narrow() const { return c.tokens * c.hidden; }
  std::int64_t wide() const { return c.tokens * c.intermediate; }
};

// Rows past what the backend wrote hold NaN: workspace is not compared.
void run_forward(const Mlp& mlp, const std::vector<float>& x_in, const Context& context,
                 Outputs& outputs) {
  const MlpCase& c = mlp.c;
  GuardedArray normed("normed", mlp.narrow());
  GuardedArray hidden("hidden", mlp.wide());
  GuardedArray gate("gate workspace", mlp.wide());
  GuardedArray up("up workspace", mlp.wide());
  const GuardedArray x("x", x_in);
  const GuardedArray residual("residual", mlp.residual);
  MlpForward p;
  p.weights = mlp.weights(c.norm);
  p.tokens = c.tokens;
  p.x = x.data();
  p.residual = c.residual ? residual.data() : nullptr;
  if (c.in_place) {
    p.y = outputs.initial("y", x_in);
    p.x = p.y;
    p.residual = p.y;
  } else {
    p.y = outputs.dense("y", mlp.narrow());
  }
  if (c.out) p.out = outputs.dense("out", mlp.narrow());
  const bool narrow = mlp_keeps_bf16(context, p.weights);
  std::optional<KeptOutput> kept_gate;
  std::optional<KeptOutput> kept_up;
  if (c.keep_inputs) kept_gate.emplace(outputs, "gate", mlp.wide(), narrow);
  if (c.keep_inputs && c.gated) kept_up.emplace(outputs, "up", mlp.wide(), narrow);
  p.keep_inputs = c.keep_inputs;
  p.gate = kept_gate ? kept_gate->data() : gate.data();
  if (c.gated) p.up = kept_up ? kept_up->data() : up.data();
  p.normed = normed.data();
  p.hidden = hidden.data();
  mlp_forward(context, p);
  for (auto* kept : {&kept_gate, &kept_up}) {
    if (!*kept) continue;
    (*kept)->finish();
    CHECK((*kept)->guards_intact());
  }
  for (const GuardedArray* array : {&normed, &hidden, &gate, &up}) {
    CHECK_MESSAGE(array->guards_intact(), array->name());
  }
}

void run_backward(const Mlp& mlp, const std::vector<float>& gate_in,
                  const std::vector<float>& up_in, const Context& context, Outputs& outputs) {
  const MlpCase& c = mlp.c;
  const bool narrow = mlp_keeps_bf16(context, mlp.weights(true));
  GuardedArray d_hidden("d_hidden", kept_floats(mlp.wide(), narrow));
  GuardedArray d_up("d_up", mlp.wide());
  GuardedArray d_normed("d_normed", mlp.narrow());
  const GuardedArray x("x", mlp.x);
  const GuardedArray gate = kept_rows("gate", gate_in, narrow);
  const GuardedArray up = kept_rows("up", up_in, narrow);
  const GuardedArray d_y("d_y", mlp.d_y);
  MlpBackward p;
  p.weights = mlp.weights(true);
  p.tokens = c.tokens;
  p.x = x.data();
  p.gate = gate.data();
  p.up = c.gated ? up.data() : nullptr;
  p.d_y = d_y.data();
  p.d_x = outputs.dense("d_x", mlp.narrow());
  p.d_residual = outputs.initial("d_residual", c.in_place ? mlp.d_y : mlp.d_residual);
  if (c.in_place) p.d_y = p.d_residual;
  p.d_hidden = d_hidden.data();
  p.d_up = c.gated ? d_up.data() : nullptr;
  p.d_normed = d_normed.data();
  mlp_backward(context, p);
  for (const GuardedArray* array : {&d_hidden, &d_up, &d_normed}) {
    CHECK_MESSAGE(array->guards_intact(), array->name());
  }
}

void check_mlp(const MlpCase& c) {
  Mlp mlp(c);
  check_case({"mlp_forward " + c.name, 3e-6, [&](const Context& context, Outputs& outputs) {
                run_forward(mlp, mlp.x, context, outputs);
              }});
  const std::vector<float> gate = mlp.random.values(mlp.wide(), -4.0f, 4.0f);
  const std::vector<float> up = mlp.random.values(mlp.wide());
  check_case({"mlp_backward " + c.name, 3e-6, [&](const Context& context, Outputs& outputs) {
                run_backward(mlp, gate, up, context, outputs);
              }});
}

// The loss of a gradient check: d_y times what the MLP adds, in the specification.
double loss(const Mlp& mlp, const std::vector<float>& x) {
  Outputs outputs;
  run_forward(mlp, x, make_cpu_context(1, Isa::specification), outputs);
  return weighted_sum(mlp.d_y, outputs["out"].data());
}

}  // namespace

TEST_CASE("mlp agrees with the specification") {
  check_mlp({.name = "gated"});
  check_mlp({.name = "one token", .tokens = 1, .hidden = 33, .intermediate = 65});
  check_mlp({.name = "not gated, with biases and a LayerNorm",
             .gated = false,
             .kind = NormKind::layer,
             .bias = true,
             .activation = Activation::gelu_tanh});
  check_mlp({.name = "normed before, output kept", .norm = false, .out = true});
  check_mlp({.name = "fp32, in place", .bf16 = false, .in_place = true});
  check_mlp({.name = "no residual", .bias = true, .residual = false});
  check_mlp({.name = "low-rank", .tokens = 7, .ranks = {0, 3, 0}});
  check_mlp({.name = "no norm", .kind = NormKind::fixed, .residual = false});
}

TEST_CASE("mlp in blocks of rows agrees with the specification, and bit for bit with its steps") {
  MlpCase c{.name = "150 tokens", .tokens = 150, .hidden = 70, .intermediate = 300};
  check_mlp(c);
  c.name = "in place, output kept";
  c.in_place = true;
  c.out = true;
  c.bias = true;
  c.keep_inputs = false;
  check_mlp(c);
  check_mlp({.name = "several blocks and slabs of depth",
             .tokens = 180,
             .hidden = 260,
             .intermediate = 700,
             .keep_inputs = false});
  check_mlp({.name = "no residual", .tokens = 140, .residual = false});
  check_mlp({.name = "no norm", .tokens = 150, .hidden = 70, .kind = NormKind::fixed});
  check_mlp({.name = "not gated, fp32, LayerNorm",
             .tokens = 131,
             .hidden = 33,
             .intermediate = 193,
             .gated = false,
             .kind = NormKind::layer,
             .bias = true,
             .bf16 = false,
             .activation = Activation::gelu_erf});
}

TEST_CASE("mlp in blocks adds low-rank terms of any of its layers, bit for bit as its steps do") {
  check_mlp({.name = "terms of all layers",
             .tokens = 150,
             .hidden = 70,
             .intermediate = 300,
             .ranks = {8, 3, 17}});
  check_mlp({.name = "bf16 terms of all layers",
             .tokens = 150,
             .hidden = 70,
             .intermediate = 300,
             .ranks = {8, 3, 17},
             .bf16_factors = true});
  check_mlp({.name = "a term of up", .tokens = 130, .in_place = true, .ranks = {0, 4, 0}});
  check_mlp({.name = "terms of gate and down, several blocks and slabs of depth, output kept",
             .tokens = 180,
             .hidden = 260,
             .intermediate = 700,
             .bias = true,
             .out = true,
             .ranks = {1, 0, 40}});
  check_mlp({.name = "not gated, fp32, more ranks than a block of depth",
             .tokens = 131,
             .hidden = 33,
             .intermediate = 193,
             .gated = false,
             .bf16 = false,
             .ranks = {0, 300, 8},
             .activation = Activation::gelu_tanh});
  check_mlp({.name = "fp32 with bf16 terms, more ranks than a block of depth",
             .tokens = 131,
             .hidden = 33,
             .intermediate = 193,
             .bf16 = false,
             .ranks = {5, 300, 8},
             .bf16_factors = true});
}

TEST_CASE("mlp gradients equal finite differences") {
  for (const auto& [tokens, ranks] :
       {std::pair<std::int64_t, std::vector<std::int64_t>>{3, {0, 0, 0}},
        {64, {0, 0, 0}},
        {3, {2, 1, 3}},
        {64, {2, 1, 3}}}) {
    MlpCase c{.name = "gradient", .tokens = tokens, .hidden = 6, .intermediate = 9, .out = true};
    c.ranks = ranks;
    const Mlp mlp(c);
    for (const Level& level : levels()) {
      const Context context = level.context(1);
      Outputs forward;
      run_forward(mlp, mlp.x, context, forward);
      Outputs backward;
      run_backward(mlp, forward["gate"].values(), forward["up"].values(), context, backward);
      check_gradient({.name = "x on " + level.name,
                      .x = mlp.x,
                      .gradient = backward["d_x"].values(),
                      .loss = [&](const std::vector<float>& x) { return loss(mlp, x); },
                      .step = 3e-3f});
    }
  }
}

TEST_CASE("mlp refuses bad arguments by name") {
  const Context context = make_cpu_context(1, Isa::specification);
  const Mlp mlp({.name = "bad"});
  std::vector<float> wide(static_cast<std::size_t>(mlp.wide()));
  std::vector<float> narrow(static_cast<std::size_t>(mlp.narrow()));
  MlpForward p;
  p.weights = mlp.weights(true);
  p.tokens = mlp.c.tokens;
  p.x = p.residual = mlp.x.data();
  p.y = p.normed = narrow.data();
  p.gate = p.hidden = wide.data();
  CHECK_THROWS_WITH_AS(mlp_forward(context, p), doctest::Contains("up must be given"), Error);
  p.up = wide.data();
  p.normed = nullptr;
  CHECK_THROWS_WITH_AS(mlp_forward(context, p), doctest::Contains("normed is null"), Error);
  p.weights.down = p.weights.up;
  CHECK_THROWS_WITH_AS(mlp_forward(context, p), doctest::Contains("weights.down"), Error);
  MlpBackward b;
  b.weights = mlp.weights(false);
  CHECK_THROWS_WITH_AS(mlp_backward(context, b), doctest::Contains("weights.norm"), Error);
}

}  // namespace headspark::test
