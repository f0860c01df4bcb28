// head_input_backward: the sum over copies on every level against the specification, which is
// linear and norm backward one after the other.
#include "headspark/ops/head_input.h"

#include <doctest/doctest.h>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

struct Shape {
  std::int64_t copies, tokens, heads, share, head_dim, in;
  NormKind kind;
  bool bias;
};

struct Fixture {
  Shape shape;
  std::vector<float> weights;
  LinearWeight weight;
  NormWeight norm;
  std::vector<float> x, projected, d;

  explicit Fixture(const Shape& s) : shape(s) {
    Random random(5);
    const std::int64_t out = s.heads / s.share * s.head_dim;
    const std::int64_t rows = s.copies * s.tokens;
    weights = random.values(out * s.in);
    weight = make_linear_weight(contiguous_view(weights.data(), DType::f32, out, s.in),
                                s.bias ? random.values(out) : std::vector<float>());
    std::vector<float> a = random.values(2 * s.in);
    std::vector<float> b = random.values(out * 2);
    if (s.bias) weight.low_rank = make_low_rank(2, 0.5f, std::move(a), std::move(b));
    norm.kind = s.kind;
    norm.weight = random.values(s.in, 0.5f, 1.5f);
    if (s.kind == NormKind::layer) norm.bias = random.values(s.in);
    x = random.values(rows * s.in, -1.0f, 2.0f);
    d = random.values(rows * s.heads * s.head_dim);
    projected.resize(static_cast<std::size_t>(rows * out));
    project();
  }

  void project() {
    const Context context = make_cpu_context(1, Isa::specification);
    std::vector<float> normed(x.size());
    const std::int64_t rows = shape.copies * shape.tokens;
    norm_forward(context, {&norm, rows, x.data(), shape.in, normed.data(), shape.in});
    LinearForward forward;
    forward.weight = &weight;
    forward.tokens = rows;
    forward.x = normed.data();
    forward.x_stride = shape.in;
    forward.y = projected.data();
    forward.y_stride = weight.out();
    linear_forward(context, forward);
  }

  HeadInputBackward params(float* y) const {
    HeadInputBackward p;
    p.norm = &norm;
    p.weight = &weight;
    p.copies = shape.copies;
    p.tokens = shape.tokens;
    p.heads = shape.heads;
    p.share = shape.share;
    p.head_dim = shape.head_dim;
    p.x = x.data();
    p.projected = projected.data();
    p.d = d.data();
    p.y = y;
    p.y_stride = shape.tokens * shape.in;
    return p;
  }
};

}  // namespace

TEST_CASE("head_input_backward: copies, shared heads, both norms, biases and low rank") {
  for (const Shape& shape : {Shape{1, 3, 2, 1, 8, 24, NormKind::rms, false},
                             Shape{5, 7, 6, 3, 16, 40, NormKind::rms, true},
                             Shape{3, 4, 4, 2, 5, 33, NormKind::layer, true},
                             Shape{2, 1, 3, 1, 64, 48, NormKind::layer, false}}) {
    const Fixture fixture(shape);
    check_case({"head_input_backward", 5e-6, [&](const Context& context, Outputs& outputs) {
                  float* y = outputs.dense("y", shape.heads * shape.tokens * shape.in);
                  head_input_backward(context, fixture.params(y));
                }});
  }
}

TEST_CASE("head_input_backward: refuses shapes that do not fit") {
  const Fixture fixture({1, 2, 4, 2, 8, 16, NormKind::rms, false});
  const Context context = make_cpu_context(1, Isa::portable);
  std::vector<float> y(4 * 2 * 16);
  HeadInputBackward wrong = fixture.params(y.data());
  wrong.share = 3;
  CHECK_THROWS_AS(head_input_backward(context, wrong), Error);
  wrong = fixture.params(y.data());
  wrong.heads = 6;
  CHECK_THROWS_AS(head_input_backward(context, wrong), Error);
  wrong = fixture.params(nullptr);
  CHECK_THROWS_AS(head_input_backward(context, wrong), Error);
}

}  // namespace headspark::test
