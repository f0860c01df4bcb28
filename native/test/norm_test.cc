// norm on every level: all kinds, strides, in place, all gradient modes.
#include "headspark/ops/norm.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

struct NormCase {
  std::string name;
  NormWeight norm;
  std::int64_t rows = 5;
  std::int64_t gap = 0;
  GradientMode mode = GradientMode::overwrite;

  std::int64_t width() const { return static_cast<std::int64_t>(norm.weight.size()); }
  std::int64_t stride() const { return width() + gap; }
};

NormWeight make_norm(NormKind kind, std::int64_t width, bool bias, Random& random) {
  NormWeight norm;
  norm.kind = kind;
  norm.weight = random.values(width, 0.5f, 1.5f);
  if (bias) norm.bias = random.values(width);
  norm.epsilon = 1e-5f;
  return norm;
}

void check_norm_case(const NormCase& c) {
  Random random(31);
  const std::vector<float> x = random.values(c.rows * c.stride(), -3.0f, 4.0f);
  const std::vector<float> d_y = random.values(c.rows * c.stride());
  const std::vector<float> d_x = random.values(c.rows * c.stride());
  check_case(
      {"norm_forward " + c.name, 2e-6, [&](const Context& context, Outputs& outputs) {
         const GuardedArray input("x", x);
         float* y = outputs.strided("y", c.rows * c.stride());
         norm_forward(context, {&c.norm, c.rows, input.data(), c.stride(), y, c.stride()});
         float* in_place = outputs.initial("in place", x);
         norm_forward(context, {&c.norm, c.rows, in_place, c.stride(), in_place, c.stride()});
       }});
  check_case({"norm_backward " + c.name, 5e-6, [&](const Context& context, Outputs& outputs) {
                const GuardedArray input("x", x);
                const GuardedArray gradient("d_y", d_y);
                NormBackward p{&c.norm,
                               c.rows,
                               input.data(),
                               c.stride(),
                               gradient.data(),
                               c.stride(),
                               outputs.initial("d_x", d_x),
                               c.stride(),
                               c.mode};
                norm_backward(context, p);
                p.d_x = outputs.initial("in place", d_y);
                p.d_y = p.d_x;
                p.mode = GradientMode::overwrite;
                norm_backward(context, p);
              }});
}

std::vector<float> forward(const Context& context, const NormWeight& norm,
                           const std::vector<float>& x) {
  const auto width = static_cast<std::int64_t>(norm.weight.size());
  std::vector<float> y(x.size());
  norm_forward(context, {&norm, static_cast<std::int64_t>(x.size()) / width, x.data(), width,
                         y.data(), width});
  return y;
}

}  // namespace

TEST_CASE("norm agrees with the specification") {
  Random random(1);
  for (const NormKind kind : {NormKind::rms, NormKind::layer, NormKind::fixed}) {
    for (const std::int64_t width : {1, 7, 16, 24, 64, 577}) {
      for (const GradientMode mode :
           {GradientMode::ignore, GradientMode::overwrite, GradientMode::accumulate}) {
        NormCase c{.name = "width " + std::to_string(width),
                   .norm = make_norm(kind, width, width != 24, random)};
        c.mode = mode;
        c.gap = width % 3;
        c.rows = width == 64 ? 33 : 5;
        check_norm_case(c);
      }
    }
  }
}

TEST_CASE("norm of no rows writes nothing") {
  Random random(1);
  check_norm_case({.name = "empty", .norm = make_norm(NormKind::rms, 8, false, random), .rows = 0});
}

TEST_CASE("RMSNorm of a known row") {
  NormWeight norm;
  norm.weight = {1.0f, 2.0f};
  norm.epsilon = 0.0f;
  for (const Level& level : levels()) {
    const std::vector<float> y = forward(level.context(1), norm, {3.0f, 4.0f});
    check_near("rms", y, {3.0f / std::sqrt(12.5f), 8.0f / std::sqrt(12.5f)}, 1e-6);
  }
}

TEST_CASE("a fixed norm multiplies by its weight") {
  NormWeight norm;
  norm.kind = NormKind::fixed;
  norm.weight = {1.0f, 2.0f};
  for (const Level& level : levels()) {
    const std::vector<float> y = forward(level.context(1), norm, {3.1f, 4.3f});
    check_same_bits("fixed", y, {3.1f, 8.6f});
  }
}

TEST_CASE("norm_scale agrees with the specification") {
  Random random(7);
  for (const auto& [rows, width, parts_width] : std::vector<std::array<std::int64_t, 3>>{
           {5, 7, 12}, {33, 64, 3}, {3, 577, 300}, {0, 8, 8}}) {
    const NormKind kind = width == 64 ? NormKind::fixed : NormKind::rms;
    const NormWeight norm = make_norm(kind, width, false, random);
    const std::vector<float> x = random.values(rows * width, -3.0f, 4.0f);
    const std::vector<float> z = random.values(rows * parts_width);
    check_case({"norm_scale", 2e-6, [&](const Context& context, Outputs& outputs) {
                  const GuardedArray input("x", x);
                  const GuardedArray parts("z", z);
                  float* y = outputs.dense("y", rows * parts_width);
                  norm_scale(context, {&norm, rows, input.data(), parts.data(), parts_width, y});
                  float* in_place = outputs.initial("in place", z);
                  norm_scale(context, {&norm, rows, input.data(), in_place, parts_width, in_place});
                }});
  }
}

TEST_CASE("norm_scale gives an input the output of its norm, but for the weight") {
  Random random(8);
  const NormWeight norm = make_norm(NormKind::rms, 40, false, random);
  const std::vector<float> x = random.values(3 * 40, -2.0f, 3.0f);
  for (const Level& level : levels()) {
    std::vector<float> y(x.size());
    norm_scale(level.context(1), {&norm, 3, x.data(), x.data(), 40, y.data()});
    for (std::size_t i = 0; i < y.size(); ++i) y[i] *= norm.weight[i % 40];
    check_near("norm", y, forward(level.context(1), norm, x), 1e-6);
  }
}

TEST_CASE("norm gradients equal finite differences") {
  Random random(5);
  for (const NormKind kind : {NormKind::rms, NormKind::layer, NormKind::fixed}) {
    const NormWeight norm = make_norm(kind, 13, true, random);
    const std::vector<float> x = random.values(2 * 13, -2.0f, 3.0f);
    const std::vector<float> d_y = random.values(2 * 13);
    for (const Level& level : levels()) {
      std::vector<float> d_x(x.size());
      norm_backward(level.context(1), {&norm, 2, x.data(), 13, d_y.data(), 13, d_x.data(), 13});
      const Context specification = make_cpu_context(1, Isa::specification);
      check_gradient(
          {.name = "norm", .x = x, .gradient = d_x, .loss = [&](const std::vector<float>& moved) {
             return weighted_sum(d_y, forward(specification, norm, moved).data());
           }});
    }
  }
}

TEST_CASE("a row's norm does not depend on its batch") {
  Random random(6);
  const NormWeight norm = make_norm(NormKind::layer, 37, true, random);
  const std::vector<float> x = random.values(20 * 37);
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const std::vector<float> all = forward(context, norm, x);
    const std::vector<float> last(x.end() - 37, x.end());
    check_same_bits("norm batch", forward(context, norm, last),
                    std::vector<float>(all.end() - 37, all.end()));
  }
}

TEST_CASE("norm refuses bad arguments by name") {
  const Context context = make_cpu_context(1, Isa::specification);
  NormWeight norm;
  norm.weight = {1.0f, 1.0f};
  float x[2] = {};
  CHECK_THROWS_WITH_AS(norm_forward(context, {&norm, 1, x, 1, x, 2}), doctest::Contains("x_stride"),
                       Error);
  norm.kind = NormKind::layer;
  CHECK_THROWS_WITH_AS(norm_scale(context, {&norm, 1, x, x, 2, x}),
                       doctest::Contains("takes a mean away"), Error);
  CHECK_THROWS_WITH_AS(norm_forward(context, {nullptr, 1, x, 2, x, 2}),
                       doctest::Contains("norm is null"), Error);
}

}  // namespace headspark::test
