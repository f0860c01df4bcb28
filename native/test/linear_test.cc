// linear on every level: storage types, slices, strides, low-rank terms, batch invariance.
#include "headspark/ops/linear.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "headspark/error.h"
#include "op_suite.h"
#include "stored_layer.h"

namespace headspark::test {
namespace {

struct LinearCase {
  std::string name;
  std::int64_t tokens = 7;
  std::int64_t out = 40;
  std::int64_t in = 24;
  DType dtype = DType::f32;
  std::int64_t rank = 0;
  bool bf16_factors = false;  // of the low-rank term
  float scale = 0.5f;         // of the low-rank term
  bool zero_rows = false;     // every other token's x and d_y
  std::int64_t gap = 0;       // floats between the rows of x and y
  LinearSlice slice = {};
  bool transposed = false;  // stored as [in, out], as GPT-2 does
  bool add = false;
};

std::uint16_t f32_to_f16_bits(float value) {  // exact for the multiples of 1/64 used here
  if (value == 0.0f) return 0;
  const std::uint32_t bits = f32_to_bits(value);
  const std::uint32_t exponent = ((bits >> 23) & 0xffu) - 112;
  return static_cast<std::uint16_t>(((bits >> 16) & 0x8000u) | (exponent << 10) |
                                    ((bits >> 13) & 0x3ffu));
}

// A layer with its storage.
struct Layer {
  std::vector<float> f32;
  std::vector<std::uint16_t> narrow;
  LinearWeight weight;

  Layer(const LinearCase& c, Random& random) {
    const std::int64_t count = c.out * c.in;
    for (std::int64_t i = 0; i < count; ++i) {
      const float value = static_cast<float>(random.below(129) - 64) / 64.0f;
      f32.push_back(c.dtype == DType::f32 ? random.uniform(-1, 1) : value);
      narrow.push_back(c.dtype == DType::f16 ? f32_to_f16_bits(value) : f32_to_bf16(value));
    }
    const void* data = c.dtype == DType::f32 ? static_cast<const void*>(f32.data()) : narrow.data();
    WeightView view = contiguous_view(data, c.dtype, c.out, c.in);
    if (c.transposed) {
      view.group_stride = 1;
      view.row_stride = 1;
      view.col_stride = c.out;
    }
    weight = make_linear_weight(view, random.values(c.out));
    if (c.rank > 0) {
      weight.low_rank = random_low_rank(c.out, c.in, c.rank, c.bf16_factors, random, c.scale);
    }
  }
};

std::int64_t width(std::int64_t begin, std::int64_t end, std::int64_t all) {
  return (end < 0 ? all : end) - begin;
}

OpCase forward_case(const LinearCase& c, const Layer& layer, const std::vector<float>& x,
                    const std::vector<float>& y) {
  return {"linear_forward " + c.name, 3e-6, [=, &layer](const Context& context, Outputs& outputs) {
            const std::int64_t in = width(c.slice.in_begin, c.slice.in_end, c.in);
            const std::int64_t out = width(c.slice.out_begin, c.slice.out_end, c.out);
            const GuardedArray input("x", x);
            LinearForward p;
            p.weight = &layer.weight;
            p.slice = c.slice;
            p.tokens = c.tokens;
            p.x = input.data();
            p.x_stride = in + c.gap;
            p.y = c.add ? outputs.initial("y", y)
                        : outputs.strided("y", static_cast<std::int64_t>(y.size()));
            p.y_stride = out + c.gap;
            p.with_bias = c.tokens % 2 == 1;
            if (c.add) p.residual = p.y;
            linear_forward(context, p);
          }};
}

OpCase backward_case(const LinearCase& c, const Layer& layer, const std::vector<float>& d_y,
                     const std::vector<float>& d_x) {
  return {"linear_backward " + c.name, 3e-6, [=, &layer](const Context& context, Outputs& outputs) {
            const std::int64_t in = width(c.slice.in_begin, c.slice.in_end, c.in);
            const std::int64_t out = width(c.slice.out_begin, c.slice.out_end, c.out);
            const GuardedArray input("d_y", d_y);
            LinearBackward p;
            p.weight = &layer.weight;
            p.slice = c.slice;
            p.tokens = c.tokens;
            p.d_y = input.data();
            p.d_y_stride = out + c.gap;
            p.d_x = c.add ? outputs.initial("d_x", d_x)
                          : outputs.strided("d_x", static_cast<std::int64_t>(d_x.size()));
            p.d_x_stride = in + c.gap;
            p.mode = c.add ? GradientMode::accumulate : GradientMode::overwrite;
            linear_backward(context, p);
          }};
}

// [tokens, width] of x or d_y.
std::vector<float> token_rows(const LinearCase& c, std::int64_t width, Random& random) {
  std::vector<float> rows = random.values(c.tokens * width);
  for (std::int64_t t = 0; c.zero_rows && t < c.tokens; t += 2) {
    std::fill_n(rows.begin() + t * width, width, 0.0f);
  }
  return rows;
}

void check_linear(const LinearCase& c) {
  Random random(17 + static_cast<std::uint64_t>(c.tokens));
  const Layer layer(c, random);
  const std::int64_t in = width(c.slice.in_begin, c.slice.in_end, c.in);
  const std::int64_t out = width(c.slice.out_begin, c.slice.out_end, c.out);
  check_case(forward_case(c, layer, token_rows(c, in + c.gap, random),
                          random.values(c.tokens * (out + c.gap))));
  check_case(backward_case(c, layer, token_rows(c, out + c.gap, random),
                           random.values(c.tokens * (in + c.gap))));
}

std::vector<float> forward_tokens(const Context& context, const LinearWeight& weight,
                                  const std::vector<float>& x) {
  LinearForward p;
  p.weight = &weight;
  p.tokens = static_cast<std::int64_t>(x.size()) / weight.in();
  p.x = x.data();
  p.x_stride = weight.in();
  std::vector<float> y(static_cast<std::size_t>(p.tokens * weight.out()));
  p.y = y.data();
  p.y_stride = weight.out();
  linear_forward(context, p);
  return y;
}

std::vector<float> backward_tokens(const Context& context, const LinearWeight& weight,
                                   const std::vector<float>& d_y) {
  LinearBackward p;
  p.weight = &weight;
  p.tokens = static_cast<std::int64_t>(d_y.size()) / weight.out();
  p.d_y = d_y.data();
  p.d_y_stride = weight.out();
  std::vector<float> d_x(static_cast<std::size_t>(p.tokens * weight.in()));
  p.d_x = d_x.data();
  p.d_x_stride = weight.in();
  linear_backward(context, p);
  return d_x;
}

template <typename Values>
Values row_range(const Values& values, std::int64_t width, std::int64_t begin, std::int64_t end) {
  return Values(values.begin() + begin * width, values.begin() + end * width);
}

}  // namespace

// 385 rows: the last block of a level with blocks of 128 rows has one.
TEST_CASE("linear agrees with the specification for every token count") {
  for (const std::int64_t tokens : {0, 1, 2, 5, 6, 7, 13, 33, 70, 385}) {
    LinearCase c{.name = std::to_string(tokens) + " tokens"};
    c.tokens = tokens;
    check_linear(c);
    c.name += " added";
    c.add = true;
    c.gap = 3;
    check_linear(c);
  }
}

TEST_CASE("linear reads every storage type and layout") {
  for (const DType dtype : {DType::f32, DType::f16, DType::bf16}) {
    for (const std::int64_t tokens : {1, 4, 31}) {
      LinearCase c{.name = "dtype " + std::to_string(static_cast<int>(dtype))};
      c.tokens = tokens;
      c.dtype = dtype;
      c.out = 51;
      c.in = 530;  // more than two depth blocks
      check_linear(c);
      c.transposed = true;
      c.name += " transposed";
      check_linear(c);
    }
  }
}

TEST_CASE("linear works on unaligned slices") {
  for (const std::int64_t head_dim : {10, 24}) {
    for (std::int64_t head = 0; head < 3; ++head) {
      LinearCase c{.name = "slice of outputs"};
      c.dtype = DType::bf16;
      c.out = 3 * head_dim;
      c.in = 29;
      c.slice.out_begin = head * head_dim;
      c.slice.out_end = (head + 1) * head_dim;
      check_linear(c);
      LinearCase d{.name = "slice of inputs"};
      d.out = 37;
      d.in = 3 * head_dim;
      d.slice.in_begin = head * head_dim;
      d.slice.in_end = (head + 1) * head_dim;
      d.rank = 3;
      d.gap = 5;
      check_linear(d);
      d.bf16_factors = true;
      check_linear(d);
    }
  }
}

TEST_CASE("linear slices of both sides, one column, one row, nothing") {
  for (const std::int64_t begin : {0, 1, 15, 16, 17}) {
    for (const std::int64_t size : {0, 1, 16, 18}) {
      LinearCase c{.name = "slice " + std::to_string(begin) + "+" + std::to_string(size)};
      c.rank = 2;
      c.slice = {begin, begin + size, 24 - begin / 3 - size / 2, 24};
      check_linear(c);
    }
  }
}

TEST_CASE("linear adds low-rank terms") {
  for (const std::int64_t rank : {1, 4, 16, 19}) {
    for (const std::int64_t tokens : {1, 6, 33}) {
      LinearCase c{.name = "rank " + std::to_string(rank)};
      c.rank = rank;
      c.tokens = tokens;
      c.dtype = DType::bf16;
      c.add = tokens == 6;
      check_linear(c);
      c.name += ", bf16 factors";
      c.bf16_factors = true;
      check_linear(c);
    }
  }
  // Several tiles of a GPU's kernel each way.
  LinearCase c{.name = "more rows and ranks", .tokens = 70, .out = 90, .in = 140};
  c.rank = 70;
  c.dtype = DType::bf16;
  check_linear(c);
}

// Tokens after the one that is measured have gradients of 0, which a scale must not make NaNs.
TEST_CASE("linear adds low-rank terms of any scale, nothing where a row is 0") {
  for (const float scale : {4.0f, 4.5f, 300.0f}) {
    for (const std::int64_t tokens : {2, 7, 40}) {
      LinearCase c{.name = "scale " + std::to_string(scale), .tokens = tokens};
      c.rank = 2;
      c.scale = scale;
      c.zero_rows = true;
      check_linear(c);
    }
  }
}

TEST_CASE("linear adds low-rank terms of several blocks of rows, depths and ranks") {
  // A slice begins at an odd depth of bf16 pairs.
  LinearCase c{.name = "many rows and ranks", .tokens = 300, .out = 90, .in = 530};
  c.rank = 290;
  c.dtype = DType::bf16;
  check_linear(c);
  c.name = "odd slices";
  c.tokens = 140;
  c.slice = {7, 41, 3, 520};
  check_linear(c);
  c.name = "odd slices, bf16 factors";
  c.bf16_factors = true;
  check_linear(c);
  c.name = "odd slices of fp32, bf16 factors";
  c.dtype = DType::f32;
  check_linear(c);
  c.name = "odd slices of fp32";
  c.bf16_factors = false;
  check_linear(c);
}

TEST_CASE("a token's result does not depend on its batch") {
  Random random(5);
  LinearCase c;
  c.dtype = DType::bf16;
  c.out = 83;
  c.in = 600;
  c.rank = 5;
  const Layer layer(c, random);
  const std::vector<float> x = random.values(41 * c.in);
  const std::vector<float> d_y = random.values(41 * c.out);
  for (const Level& level : levels()) {
    const Context context = level.context(2);
    const std::vector<float> y = forward_tokens(context, layer.weight, x);
    const std::vector<float> d_x = backward_tokens(context, layer.weight, d_y);
    for (const auto& [begin, end] : {std::pair<int, int>{0, 1}, {3, 8}, {7, 14}, {40, 41}}) {
      check_same_bits("forward batch on " + level.name,
                      forward_tokens(context, layer.weight, row_range(x, c.in, begin, end)),
                      row_range(y, c.out, begin, end));
      check_same_bits("backward batch on " + level.name,
                      backward_tokens(context, layer.weight, row_range(d_y, c.out, begin, end)),
                      row_range(d_x, c.in, begin, end));
    }
  }
}

TEST_CASE("linear_backward is the gradient of linear_forward") {
  Random random(9);
  LinearCase c;
  c.out = 9;
  c.in = 7;
  c.rank = 2;
  const Layer layer(c, random);
  const std::vector<float> d_y = random.values(3 * c.out);
  for (const Level& level : levels()) {
    const Context context = level.context(1);
    const Context specification = make_cpu_context(1, Isa::specification);
    check_gradient({.name = "linear on " + level.name,
                    .x = random.values(3 * c.in),
                    .gradient = backward_tokens(context, layer.weight, d_y),
                    .loss = [&](const std::vector<float>& x) {
                      return weighted_sum(d_y,
                                          forward_tokens(specification, layer.weight, x).data());
                    }});
  }
}

TEST_CASE("linear with GradientMode::ignore writes nothing") {
  Random random(2);
  const LinearCase c;
  const Layer layer(c, random);
  Outputs outputs;
  const std::vector<float> before = random.values(c.in);
  const std::vector<float> d_y = random.values(c.out);
  LinearBackward p;
  p.weight = &layer.weight;
  p.tokens = 1;
  p.d_y = d_y.data();
  p.d_y_stride = c.out;
  p.d_x = outputs.initial("d_x", before);
  p.d_x_stride = c.in;
  p.mode = GradientMode::ignore;
  linear_backward(make_cpu_context(1, Isa::portable), p);
  check_same_bits("ignore", outputs["d_x"].values(), before);
}

TEST_CASE("linear refuses bad arguments by name") {
  Random random(3);
  const LinearCase c;
  const Layer layer(c, random);
  const Context context = make_cpu_context(1, Isa::specification);
  const std::vector<float> x(static_cast<std::size_t>(c.in));
  std::vector<float> y(static_cast<std::size_t>(c.out));
  const LinearForward good{.weight = &layer.weight,
                           .slice = {},
                           .tokens = 1,
                           .x = x.data(),
                           .x_stride = c.in,
                           .y = y.data(),
                           .y_stride = c.out};
  LinearForward bad = good;
  bad.x = nullptr;
  CHECK_THROWS_WITH_AS(linear_forward(context, bad), doctest::Contains("x is null"), Error);
  bad = good;
  bad.x_stride = c.in - 1;
  CHECK_THROWS_WITH_AS(linear_forward(context, bad), doctest::Contains("x_stride"), Error);
  bad = good;
  bad.slice.out_end = c.out + 1;
  CHECK_THROWS_WITH_AS(linear_forward(context, bad), doctest::Contains("out_begin"), Error);
  bad = good;
  bad.tokens = -1;
  CHECK_THROWS_WITH_AS(linear_forward(context, bad), doctest::Contains("tokens"), Error);
  LinearWeight weight = layer.weight;
  bad = good;
  bad.weight = &weight;
  weight.low_rank = make_low_rank(2, 1.0f, std::vector<float>(2 * 8), std::vector<float>(2 * 8));
  CHECK_THROWS_WITH_AS(linear_forward(context, bad), doctest::Contains("shape of the layer"),
                       Error);
  auto unpacked = std::make_shared<LowRank>();
  weight.low_rank = unpacked;
  CHECK_THROWS_WITH_AS(linear_forward(context, bad), doctest::Contains("make_low_rank"), Error);
  CHECK_THROWS_WITH_AS(make_low_rank(3, 1.0f, std::vector<float>(6), std::vector<float>(7)),
                       doctest::Contains("this rank"), Error);
  CHECK_THROWS_WITH_AS(make_low_rank(0, 1.0f, std::vector<float>(6), {}),
                       doctest::Contains("this rank"), Error);
}

}  // namespace headspark::test
