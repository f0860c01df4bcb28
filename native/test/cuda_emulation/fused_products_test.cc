// mlp and projections on the emulated device, by own products and by cuBLASLt's stand-in, against
// the ops that they are made of, one by one: the same bits.
#include <doctest/doctest.h>

#include "cuda_emulation/fake_cublas_lt.h"
#include "cuda_emulation/library_backend.h"
#include "headspark/dtype.h"
#include "headspark/ops/mlp.h"
#include "headspark/ops/projections.h"
#include "headspark/ops/rows.h"
#include "op_suite.h"

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

struct Layer {
  std::vector<float> f32;
  std::vector<std::uint16_t> bf16;
  LinearWeight weight;

  Layer(std::int64_t out, std::int64_t in, const FusedCase& c, Random& random, std::int64_t rank) {
    f32 = random.values(out * in, -0.5f, 0.5f);
    for (const float value : f32) bf16.push_back(f32_to_bf16(value));
    const void* data = c.bf16 ? static_cast<const void*>(bf16.data()) : f32.data();
    weight = make_linear_weight(contiguous_view(data, c.bf16 ? DType::bf16 : DType::f32, out, in),
                                c.bias ? random.values(out) : std::vector<float>{});
    if (rank == 0) return;
    auto low = std::make_shared<LowRank>();
    low->rank = rank;
    low->scale = 0.75f;
    low->a = random.values(rank * in);
    low->b = random.values(out * rank);
    weight.low_rank = low;
  }
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;
};

struct Block {
  FusedCase c;
  Random random;
  Layer gate, up, down;
  NormWeight norm;
  std::vector<float> x, residual, gate_in, up_in;

  explicit Block(const FusedCase& fused_case)
      : c(fused_case),
        random(static_cast<std::uint64_t>(c.tokens + c.hidden + c.intermediate)),
        gate(c.intermediate, c.hidden, c, random, c.gate_rank),
        up(c.intermediate, c.hidden, c, random, c.up_rank),
        down(c.hidden, c.intermediate, c, random, c.down_rank) {
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

void forward_steps(const Context& context, const MlpForward& p) {
  const MlpWeights& w = p.weights;
  const std::int64_t hidden = w.up->in();
  const float* normed = p.x;
  if (w.norm != nullptr) {
    norm_forward(context, {w.norm, p.tokens, p.x, hidden, p.normed, hidden});
    normed = p.normed;
  }
  if (w.gate != nullptr) linear_forward(context, whole_layer(*w.up, p.tokens, normed, p.up));
  linear_forward(context,
                 whole_layer(w.gate != nullptr ? *w.gate : *w.up, p.tokens, normed, p.gate));
  mlp_activation_forward(context, {w.activation, p.tokens * w.up->out(), p.gate, p.up, p.hidden});
  LinearForward down = whole_layer(*w.down, p.tokens, p.hidden, p.out != nullptr ? p.out : p.y);
  if (p.out == nullptr) down.residual = p.residual;
  linear_forward(context, down);
  if (p.out == nullptr) return;
  combine(context, {.count = p.tokens * hidden,
                    .a = 1.0f,
                    .x = p.out,
                    .b = 1.0f,
                    .y = p.y,
                    .base = p.residual == p.y ? nullptr : p.residual});
}

void backward_steps(const Context& context, const MlpBackward& p) {
  const MlpWeights& w = p.weights;
  const std::int64_t hidden = w.up->in();
  linear_backward(context, whole_layer_gradient(*w.down, p.tokens, p.d_y, p.d_hidden));
  mlp_activation_backward(context, {w.activation, p.tokens * w.up->out(), p.gate, p.up, p.d_hidden,
                                    p.d_hidden, p.d_up});
  linear_backward(context, whole_layer_gradient(w.gate != nullptr ? *w.gate : *w.up, p.tokens,
                                                p.d_hidden, p.d_normed));
  if (w.gate != nullptr) {
    linear_backward(context, whole_layer_gradient(*w.up, p.tokens, p.d_up, p.d_x));
    combine(context,
            {.count = p.tokens * hidden, .a = 1.0f, .x = p.d_x, .b = 1.0f, .y = p.d_normed});
  }
  norm_backward(context, {w.norm, p.tokens, p.x, hidden, p.d_normed, hidden, p.d_x, hidden,
                          GradientMode::overwrite});
  combine(context,
          {.count = p.tokens * hidden, .a = 1.0f, .x = p.d_x, .b = 1.0f, .y = p.d_residual});
}

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
  p.gate = outputs.dense("gate", block.wide());
  if (c.gated) p.up = outputs.dense("up", block.wide());
  p.normed = normed.data();
  p.hidden = hidden.data();
  forward(context, p);
  CHECK(normed.guards_intact());
  CHECK(hidden.guards_intact());
}

void run(const Block& block, const Context& context, Backward backward, Outputs& outputs) {
  const FusedCase& c = block.c;
  GuardedArray d_hidden("d_hidden", block.wide());
  GuardedArray d_up("d_up", block.wide());
  GuardedArray d_normed("d_normed", block.narrow());
  const GuardedArray x("x", block.x);
  const GuardedArray gate("gate", block.gate_in);
  const GuardedArray up("up", block.up_in);
  MlpBackward p;
  p.weights = block.weights();
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
  check_against<Forward>(block, "mlp_forward", &mlp_forward, &forward_steps);
  if (c.norm) check_against<Backward>(block, "mlp_backward", &mlp_backward, &backward_steps);
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
    norm_forward(context, {p.norm, p.tokens, p.x, c.hidden, p.normed, c.hidden});
    for (const auto& output : p.outputs) {
      linear_forward(context, whole_layer(*output.weight, p.tokens, p.normed, output.y));
    }
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
  CHECK(FakeCublasLt::get().multiplications == 9);  // three matrices, three terms
}

TEST_CASE("fused products: whole tiles and the rest are two products, where there are many") {
  const Block block({.name = "1030 tokens", .tokens = 1030, .hidden = 8, .intermediate = 16});
  Context context = make_cpu_context(1, Isa::specification, Precision::fast);
  context.backend = make_library_backend();
  FakeCublasLt::get().multiplications = 0;
  Outputs fast;
  run(block, context, Forward{&mlp_forward}, fast);
  CHECK(FakeCublasLt::get().multiplications == 6);
  context.precision = Precision::exact;
  FakeCublasLt::get().multiplications = 0;
  Outputs exact;
  run(block, context, Forward{&mlp_forward}, exact);
  CHECK(FakeCublasLt::get().multiplications == 15);  // down's three terms are summed by themselves
}

}  // namespace headspark::test
