// head_input_backward: the sum over copies on every level against the specification, which is
// linear and norm backward one after the other.
#include "headspark/ops/head_input.h"

#include <doctest/doctest.h>

#include <deque>
#include <memory>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

struct Heads {
  std::int64_t heads, share;
  bool bias;  ///< and a low-rank term
};

struct Shape {
  std::int64_t copies, tokens, head_dim, in;
  NormKind kind;
  std::vector<Heads> projections;

  std::int64_t rows() const { return copies * tokens; }
};

/// One projection of the norm's output.
struct Projected {
  Heads heads;
  std::vector<float> weights;
  LinearWeight weight;
  std::vector<float> projected, d;

  Projected(const Shape& s, const Heads& h, Random& random) : heads(h) {
    const std::int64_t out = h.heads / h.share * s.head_dim;
    weights = random.values(out * s.in);
    weight = make_linear_weight(contiguous_view(weights.data(), DType::f32, out, s.in),
                                h.bias ? random.values(out) : std::vector<float>());
    std::vector<float> a = random.values(2 * s.in);
    std::vector<float> b = random.values(out * 2);
    if (h.bias) weight.low_rank = make_low_rank(2, 0.5f, std::move(a), std::move(b));
    d = random.values(s.rows() * h.heads * s.head_dim);
    projected.resize(static_cast<std::size_t>(s.rows() * out));
  }
};

struct Fixture {
  Shape shape;
  NormWeight norm;
  std::vector<float> x;
  std::vector<std::unique_ptr<Projected>> projections;

  explicit Fixture(const Shape& s) : shape(s) {
    Random random(5);
    norm.kind = s.kind;
    norm.weight = random.values(s.in, 0.5f, 1.5f);
    if (s.kind == NormKind::layer) norm.bias = random.values(s.in);
    x = random.values(s.rows() * s.in, -1.0f, 2.0f);
    for (const Heads& heads : s.projections) {
      projections.push_back(std::make_unique<Projected>(s, heads, random));
      project(*projections.back());
    }
  }

  void project(Projected& projection) const {
    const Context context = make_cpu_context(1, Isa::specification);
    std::vector<float> normed(x.size());
    norm_forward(context, {&norm, shape.rows(), x.data(), shape.in, normed.data(), shape.in});
    LinearForward forward;
    forward.weight = &projection.weight;
    forward.tokens = shape.rows();
    forward.x = normed.data();
    forward.x_stride = shape.in;
    forward.y = projection.projected.data();
    forward.y_stride = projection.weight.out();
    linear_forward(context, forward);
  }

  /// `ys`: where each projection's heads go.
  HeadInputBackward params(const std::vector<float*>& ys) const {
    HeadInputBackward p;
    p.norm = &norm;
    p.copies = shape.copies;
    p.tokens = shape.tokens;
    p.head_dim = shape.head_dim;
    p.x = x.data();
    for (std::size_t i = 0; i < projections.size(); ++i) {
      const Projected& from = *projections[i];
      p.projections.push_back({&from.weight, from.heads.heads, from.heads.share,
                               from.projected.data(), from.d.data(), ys[i],
                               shape.tokens * shape.in});
    }
    return p;
  }
};

void check_shape(const Shape& shape) {
  const Fixture fixture(shape);
  check_case({"head_input_backward", 5e-6, [&](const Context& context, Outputs& outputs) {
                std::vector<float*> ys;
                for (const Heads& heads : shape.projections) {
                  ys.push_back(outputs.dense("y" + std::to_string(ys.size()),
                                             heads.heads * shape.tokens * shape.in));
                }
                head_input_backward(context, fixture.params(ys));
              }});
}

}  // namespace

TEST_CASE("head_input_backward: copies, shared heads, all norms, biases and low rank") {
  check_shape({1, 3, 8, 24, NormKind::rms, {{2, 1, false}}});
  check_shape({5, 7, 16, 40, NormKind::rms, {{6, 3, true}}});
  check_shape({3, 4, 5, 33, NormKind::layer, {{4, 2, true}}});
  check_shape({2, 1, 64, 48, NormKind::layer, {{3, 1, false}}});
  check_shape({3, 4, 8, 33, NormKind::fixed, {{4, 2, true}}});
}

TEST_CASE("head_input_backward: several projections, some in blocks of tokens and some in steps") {
  check_shape({5, 70, 64, 100, NormKind::rms, {{6, 1, false}, {6, 3, false}, {4, 2, true}}});
  check_shape({2, 33, 10, 40, NormKind::layer, {{4, 2, false}, {2, 1, false}}});
  check_shape({5, 70, 64, 100, NormKind::fixed, {{6, 3, false}, {4, 2, true}}});
  check_shape({0, 3, 8, 24, NormKind::rms, {{2, 1, false}, {2, 1, true}}});
}

TEST_CASE("head_input_backward: a token's result does not depend on its neighbours") {
  const Shape shape{3, 50, 32, 48, NormKind::rms, {{6, 3, false}, {2, 1, false}}};
  const Fixture fixture(shape);
  constexpr std::int64_t kToken = 37;
  for (const Level& level : levels()) {
    const auto run = [&](const HeadInputBackward& p) { head_input_backward(level.context(2), p); };
    std::vector<std::vector<float>> all;
    std::vector<std::vector<float>> one;
    std::vector<float*> ys;
    for (const Heads& heads : shape.projections) {
      all.emplace_back(static_cast<std::size_t>(heads.heads * shape.tokens * shape.in));
      one.emplace_back(static_cast<std::size_t>(heads.heads * shape.in));
    }
    for (std::vector<float>& y : all) ys.push_back(y.data());
    run(fixture.params(ys));
    const auto token_of = [&](const std::vector<float>& rows, std::int64_t width) {
      std::vector<float> of_token;
      for (std::int64_t copy = 0; copy < shape.copies; ++copy) {
        const auto from = rows.begin() + (copy * shape.tokens + kToken) * width;
        of_token.insert(of_token.end(), from, from + width);
      }
      return of_token;
    };
    const std::vector<float> x = token_of(fixture.x, shape.in);
    std::deque<std::vector<float>> kept;
    ys.clear();
    for (std::vector<float>& y : one) ys.push_back(y.data());
    HeadInputBackward p = fixture.params(ys);
    p.tokens = 1;
    p.x = x.data();
    for (std::size_t i = 0; i < p.projections.size(); ++i) {
      HeadInputBackward::Projection& projection = p.projections[i];
      const Projected& from = *fixture.projections[i];
      projection.projected =
          kept.emplace_back(token_of(from.projected, projection.weight->out())).data();
      projection.d = kept.emplace_back(token_of(from.d, projection.width(p.head_dim))).data();
      projection.y_stride = shape.in;
    }
    run(p);
    for (std::size_t i = 0; i < one.size(); ++i) {
      std::vector<float> expected;
      for (std::int64_t head = 0; head < shape.projections[i].heads; ++head) {
        const auto from = all[i].begin() + (head * shape.tokens + kToken) * shape.in;
        expected.insert(expected.end(), from, from + shape.in);
      }
      check_same_bits(level.name, one[i], expected);
    }
  }
}

TEST_CASE("head_input_backward: refuses shapes that do not fit") {
  const Fixture fixture({1, 2, 8, 16, NormKind::rms, {{4, 2, false}}});
  const Context context = make_cpu_context(1, Isa::portable);
  std::vector<float> y(4 * 2 * 16);
  HeadInputBackward wrong = fixture.params({y.data()});
  wrong.projections[0].share = 3;
  CHECK_THROWS_AS(head_input_backward(context, wrong), Error);
  wrong = fixture.params({y.data()});
  wrong.projections[0].heads = 6;
  CHECK_THROWS_AS(head_input_backward(context, wrong), Error);
  wrong = fixture.params({nullptr});
  CHECK_THROWS_AS(head_input_backward(context, wrong), Error);
}

}  // namespace headspark::test
