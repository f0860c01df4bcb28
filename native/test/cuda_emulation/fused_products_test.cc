// mlp and projections on the emulated device, by own products and by cuBLASLt's stand-in, against
// the ops that they are made of, one by one: the same bits.
#include <doctest/doctest.h>

#include "cuda_emulation/fake_cublas_lt.h"
#include "cuda_emulation/library_backend.h"
#include "headspark/ops/mlp.h"
#include "headspark/ops/projections.h"
#include "headspark/ops/rows.h"
#include "kept_rows.h"
#include "op_suite.h"
#include "ops/steps.h"
#include "stored_layer.h"

namespace headspark::test {
namespace {

struct FusedCase {
  std::string name;
  std::int64_t tokens = 5;
  std::int64_t hidden = 16;
  std::int64_t intermediate = 40;
  bool gated = true;
  bool norm = true;
  NormKind kind = NormKind::rms;
  bool bias = false;
  bool bf16 = true;
  bool out = false;
  bool residual = true;
  bool in_place = false;
  std::int64_t gate_rank = 0;  // of low-rank terms
  std::int64_t up_rank = 0;
  std::int64_t down_rank = 0;
};

struct Block {
  FusedCase c;
  Random random;
  StoredLayer gate, up, down;
  NormWeight norm;
  std::vector<float> x, residual, gate_in, up_in;

  explicit Block(const FusedCase& fused_case)
      : c(fused_case),
        random(static_cast<std::uint64_t>(c.tokens + c.hidden + c.intermediate)),
        gate(c.intermediate, c.hidden, {c.bf16, c.bias, c.gate_rank}, random),
        up(c.intermediate, c.hidden, {c.bf16, c.bias, c.up_rank}, random),
        down(c.hidden, c.intermediate, {c.bf16, c.bias, c.down_rank}, random) {
    norm.kind = c.kind;
    norm.weight = random.values(c.hidden, 0.5f, 1.5f);
    if (c.kind == NormKind::layer) norm.bias = random.values(c.hidden);
    x = random.values(narrow());
    residual = random.values(narrow());
    gate_in = random.values(wide(), -4.0f, 4.0f);
    up_in = random.values(wide());
  }
  std::int64_t narrow() const { return c.tokens * c.hidden; }
  std::int64_t wide() const { return c.tokens * c.intermediate; }
  MlpWeights weights() const {
    return {c.norm ? &norm : nullptr, c.gated ? &gate.weight : nullptr, &up.weight, &down.weight,
            Activation::silu};
  }
};

using Forward = void (*)(const Context&, const MlpForward&);
using Backward = void (*)(const Context&, const MlpBackward&);

void run(const Block& block, const Context& context, Forward forward, Outputs& outputs) {
  const FusedCase& c = block.c;
  GuardedArray normed("normed", block.narrow());
  GuardedArray hidden("hidden", block.wide());
  const GuardedArray x("x", block.x);
  const GuardedArray residual("residual", block.residual);
  MlpForward p;
  p.weights = block.weights();
  p.tokens = c.tokens;
  p.x = x.data();
  p.residual = c.residual ? residual.data() : nullptr;
  p.y = c.in_place ? outputs.initial("y", block.x) : outputs.dense("y", block.narrow());
  if (c.in_place) p.x = p.residual = p.y;
  if (c.out) p.out = outputs.dense("out", block.narrow());
  const bool narrow = mlp_keeps_bf16(context, p.weights);
  KeptOutput gate(outputs, "gate", block.wide(), narrow);
  std::optional<KeptOutput> up;
  if (c.gated) up.emplace(outputs, "up", block.wide(), narrow);
  p.gate = gate.data();
  if (up) p.up = up->data();
  p.normed = normed.data();
  p.hidden = hidden.data();
  forward(context, p);
  gate.finish();
  if (up) up->finish();
  CHECK(gate.guards_intact());
  if (up) CHECK(up->guards_intact());
  CHECK(normed.guards_intact());
  CHECK(hidden.guards_intact());
}

void run(const Block& block, const Context& context, Backward backward, Outputs& outputs) {
  const FusedCase& c = block.c;
  const bool narrow = mlp_keeps_bf16(context, block.weights());
  GuardedArray d_hidden("d_hidden", kept_floats(block.wide(), narrow));
  GuardedArray d_up("d_up", block.wide());
  GuardedArray d_normed("d_normed", block.narrow());
  const GuardedArray x("x", block.x);
  MlpBackward p;
  p.weights = block.weights();
  const GuardedArray gate = kept_rows("gate", block.gate_in, narrow);
  const GuardedArray up = kept_rows("up", block.up_in, narrow);
  p.tokens = c.tokens;
  p.x = x.data();
  p.gate = gate.data();
  p.up = c.gated ? up.data() : nullptr;
  p.d_x = outputs.dense("d_x", block.narrow());
  p.d_residual = outputs.initial("d_residual", block.residual);
  const GuardedArray d_y("d_y", block.residual);
  p.d_y = c.in_place ? p.d_residual : d_y.data();
  p.d_hidden = d_hidden.data();
  p.d_up = c.gated ? d_up.data() : nullptr;
  p.d_normed = d_normed.data();
  backward(context, p);
  for (const GuardedArray* array : {&d_hidden, &d_up, &d_normed}) CHECK(array->guards_intact());
}

// The steps of mlp.cc; where gate, up and d_hidden are kept as bf16, with these rounded in between.
void forward_in_steps(const Context& context, const MlpForward& p) {
  const MlpWeights& weights = p.weights;
  if (!mlp_keeps_bf16(context, weights)) return mlp_forward_in_steps(context, p);
  const std::int64_t hidden = weights.up->in();
  const std::int64_t count = p.tokens * weights.up->out();
  const float* normed = p.x;
  if (weights.norm != nullptr) {
    norm_forward(context, {weights.norm, p.tokens, p.x, hidden, p.normed, hidden});
    normed = p.normed;
  }
  const auto kept = [&](const LinearWeight& weight, float* room) {
    std::vector<float> values(static_cast<std::size_t>(count));
    linear_forward(context, whole_layer(weight, p.tokens, normed, values.data()));
    to_bf16(values, room);
    return rounded(values);
  };
  const bool gated = weights.gate != nullptr;
  const std::vector<float> gate = kept(gated ? *weights.gate : *weights.up, p.gate);
  std::vector<float> up;
  if (gated) up = kept(*weights.up, p.up);
  mlp_activation_forward(context, {.activation = weights.activation,
                                   .count = count,
                                   .gate = gate.data(),
                                   .up = gated ? up.data() : nullptr,
                                   .y = p.hidden});
  LinearForward down =
      whole_layer(*weights.down, p.tokens, p.hidden, p.out != nullptr ? p.out : p.y);
  if (p.out == nullptr) down.residual = p.residual;
  linear_forward(context, down);
  if (p.out == nullptr) return;
  combine(context, {.count = p.tokens * hidden,
                    .x = p.out,
                    .y = p.y,
                    .base = p.residual == p.y ? nullptr : p.residual});
}

void backward_in_steps(const Context& context, const MlpBackward& p) {
  const MlpWeights& weights = p.weights;
  if (!mlp_keeps_bf16(context, weights)) return mlp_backward_in_steps(context, p);
  const std::int64_t hidden = weights.up->in();
  const std::int64_t count = p.tokens * weights.up->out();
  const bool gated = weights.gate != nullptr;
  const std::vector<float> gate = from_bf16(p.gate, count);
  std::vector<float> up;
  if (gated) up = from_bf16(p.up, count);
  std::vector<float> d_hidden(gate.size());
  linear_backward(context, whole_layer_gradient(*weights.down, p.tokens, p.d_y, d_hidden.data()));
  d_hidden = rounded(d_hidden);
  mlp_activation_backward(context, {.activation = weights.activation,
                                    .count = count,
                                    .gate = gate.data(),
                                    .up = gated ? up.data() : nullptr,
                                    .d_y = d_hidden.data(),
                                    .d_gate = d_hidden.data(),
                                    .d_up = p.d_up});
  linear_backward(context, whole_layer_gradient(gated ? *weights.gate : *weights.up, p.tokens,
                                                d_hidden.data(), p.d_normed));
  if (gated) {
    linear_backward(context, whole_layer_gradient(*weights.up, p.tokens, p.d_up, p.d_x));
    combine(context, {.count = p.tokens * hidden, .x = p.d_x, .y = p.d_normed});
  }
  norm_backward(context, {.norm = weights.norm,
                          .rows = p.tokens,
                          .x = p.x,
                          .x_stride = hidden,
                          .d_y = p.d_normed,
                          .d_y_stride = hidden,
                          .d_x = p.d_x,
                          .d_x_stride = hidden,
                          .mode = GradientMode::overwrite});
  combine(context, {.count = p.tokens * hidden, .x = p.d_x, .y = p.d_residual});
}

/// The emulated device in each precision, without and with the library.
std::vector<Context> contexts() {
  std::vector<Context> all;
  for (const auto& backend : {make_cuda_backend(0), make_library_backend()}) {
    for (const auto precision : {Precision::exact, Precision::fast}) {
      all.push_back(make_cpu_context(1, Isa::specification, precision));
      all.back().backend = backend;
    }
  }
  return all;
}

void check_same(const std::string& where, const Outputs& a, const Outputs& b) {
  a.check(where);
  REQUIRE(a.arrays().size() == b.arrays().size());
  for (std::size_t i = 0; i < a.arrays().size(); ++i) {
    check_same_bits(where + " " + a.arrays()[i].name(), a.arrays()[i].values(),
                    b.arrays()[i].values());
  }
}

template <typename Run>
void check_against(const Block& block, const std::string& op, Run fused, Run steps) {
  for (const Context& context : contexts()) {
    Outputs expected;
    run(block, context, steps, expected);
    Outputs actual;
    run(block, context, fused, actual);
    check_same(op + " " + block.c.name + " on " + context.backend->name() + " " +
                   precision_name(context.precision),
               actual, expected);
  }
}

void check_mlp(const FusedCase& c) {
  const Block block(c);
  check_against<Forward>(block, "mlp_forward", &mlp_forward, &forward_in_steps);
  if (c.norm) check_against<Backward>(block, "mlp_backward", &mlp_backward, &backward_in_steps);
}

void run_projections(const Block& block, const Context& context, bool fused, Outputs& outputs) {
  const FusedCase& c = block.c;
  const GuardedArray x("x", block.x);
  GuardedArray normed("normed", block.narrow());
  ProjectionsForward p;
  p.norm = &block.norm;
  p.tokens = c.tokens;
  p.x = x.data();
  p.normed = normed.data();
  p.outputs = {{&block.gate.weight, outputs.dense("first", block.wide())},
               {&block.up.weight, outputs.dense("second", block.wide())}};
  if (fused) {
    projections_forward(context, p);
  } else {
    projections_forward_in_steps(context, p);
  }
  CHECK(normed.guards_intact());
}

}  // namespace

TEST_CASE("mlp on the GPU has the bits of its steps") {
  check_mlp({.name = "gated"});
  check_mlp({.name = "not gated, with biases and a LayerNorm, an output of its own",
             .gated = false,
             .kind = NormKind::layer,
             .bias = true,
             .out = true});
  check_mlp({.name = "widths that are no multiples of 8", .hidden = 21, .intermediate = 35});
  check_mlp({.name = "no norm", .kind = NormKind::fixed});
  check_mlp({.name = "wide rows", .tokens = 3, .hidden = 264, .intermediate = 72});
  check_mlp({.name = "fp32", .bf16 = false, .in_place = true});
  check_mlp({.name = "normed before, no residual", .norm = false, .residual = false});
  check_mlp({.name = "low-rank terms", .gate_rank = 2, .up_rank = 3, .down_rank = 2});
  check_mlp({.name = "low-rank terms, an output of its own", .out = true, .down_rank = 2});
}

TEST_CASE("mlp on the GPU has the bits of its steps where cuBLASLt writes whole tiles itself") {
  FusedCase c{.name = "128 tokens", .tokens = 128, .hidden = 8, .intermediate = 16};
  check_mlp(c);
  c.out = true;
  check_mlp(c);
  c.in_place = true;
  check_mlp(c);
  c.name = "1030 tokens";
  c.tokens = 1030;
  check_mlp(c);
  c.out = false;
  check_mlp(c);
}

TEST_CASE("projections on the GPU have the bits of their steps") {
  for (const FusedCase& c : std::vector<FusedCase>{
           {.name = "bf16"},
           {.name = "fp32, biases", .bias = true, .bf16 = false},
           {.name = "whole tiles", .tokens = 128, .hidden = 8, .intermediate = 16},
           {.name = "low-rank", .hidden = 264, .intermediate = 8, .gate_rank = 3}}) {
    const Block block(c);
    for (const Context& context : contexts()) {
      Outputs expected;
      run_projections(block, context, false, expected);
      Outputs actual;
      run_projections(block, context, true, actual);
      check_same("projections_forward " + c.name + " on " + context.backend->name() + " " +
                     precision_name(context.precision),
                 actual, expected);
    }
  }
}

TEST_CASE("fused products are made by the library where it is there") {
  const Block block({.name = "gated"});
  Context context = make_cpu_context(1, Isa::specification);
  context.backend = make_library_backend();
  FakeCublasLt::get().multiplications = 0;
  Outputs outputs;
  run(block, context, Forward{&mlp_forward}, outputs);
  CHECK(FakeCublasLt::get().multiplications ==
        2 * kShapeTrials + 9);  // three matrices, three terms
}

TEST_CASE("fused products: whole tiles and the rest are two products, where there are many") {
  const Block block({.name = "1030 tokens", .tokens = 1030, .hidden = 8, .intermediate = 16});
  Context context = make_cpu_context(1, Isa::specification, Precision::fast);
  context.backend = make_library_backend();
  FakeCublasLt::get().multiplications = 0;
  Outputs fast;
  run(block, context, Forward{&mlp_forward}, fast);
  CHECK(FakeCublasLt::get().multiplications == 2 * kShapeTrials + 6);
  context.precision = Precision::exact;
  FakeCublasLt::get().multiplications = 0;
  Outputs exact;
  run(block, context, Forward{&mlp_forward}, exact);
  // gate and up are fp32 now, which is a choice of its own; down's three terms are summed by
  // themselves.
  CHECK(FakeCublasLt::get().multiplications == kShapeTrials + 15);
}

}  // namespace headspark::test
