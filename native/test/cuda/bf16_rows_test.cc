// Rows that the GPU keeps as bf16 for contractions: whoever writes them rounds what it writes as
// fp32, and contractions of them have the bits that `fast` has of the fp32 it rounds itself.
#include <doctest/doctest.h>

#include <cmath>

#include "headspark/error.h"
#include "headspark/ops/edge_contraction.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/rows.h"
#include "kept_rows.h"

namespace headspark::test {
namespace {

struct Edges {
  std::int64_t sources, destinations, length;
  std::int64_t step = 0;  // of ends; 0: none
  std::int64_t gap = 8;   // NaN behind each row
};

struct Contracted {
  Edges e;
  std::int64_t stride;
  std::vector<float> delta, gradient;
  std::vector<std::int64_t> ends;

  explicit Contracted(const Edges& edges)
      : e(edges),
        stride((e.length + 7) / 8 * 8 + e.gap),
        delta(rows(e.sources, 1)),
        gradient(rows(e.destinations, 2)) {
    for (std::int64_t v = 0; e.step > 0 && v < e.destinations; ++v) {
      ends.push_back(std::min(v / 7 * e.step, e.sources));
    }
  }

  std::vector<float> rows(std::int64_t count, std::uint64_t seed) const {
    Random random(seed);
    std::vector<float> values = random.values(count * stride);
    for (std::int64_t i = 0; i < count * stride; ++i) {
      if (i % stride >= e.length) values[static_cast<std::size_t>(i)] = NAN;
    }
    return values;
  }

  std::vector<float> scores(DType type) const {
    const bool bf16 = type == DType::bf16;
    const GuardedArray a = kept_rows("delta", delta, bf16);
    const GuardedArray b = kept_rows("gradient", gradient, bf16);
    std::vector<float> scores(static_cast<std::size_t>(e.sources * e.destinations), 0.5f);
    EdgeContraction p{e.sources, e.destinations, e.length,      a.data(),      stride,
                      b.data(),  stride,         scores.data(), e.destinations};
    if (!ends.empty()) p.ends = ends.data();
    p.type = type;
    edge_contraction(levels().front().context(1, Precision::fast), p);
    return scores;
  }
};

/// write(y, type) of `count` values: what it leaves as bf16 is what it leaves as fp32, rounded.
template <typename Write>
void check_rounds(const std::string& name, std::int64_t count, const Write& write) {
  GuardedArray whole(name, count);
  write(whole.data(), DType::f32);
  GuardedArray narrow(name, kept_floats(count, true));
  write(narrow.data(), DType::bf16);
  check_same_bits(name, from_bf16(narrow.data(), count), rounded(whole.values()));
  CHECK(narrow.guards_intact());
}

Context fast_context() {
  return levels().front().context(1, Precision::fast);
}

}  // namespace

TEST_CASE("edge_contraction of bf16 has the bits of fp32 in fast") {
  // Fewer depths than stages of a tile, tails of a piece of 16 bytes and of a tile, several pieces
  // of an axis, every height of a block, more destinations than a block and than a launch.
  for (const Edges& e : {Edges{1, 1, 1}, Edges{5, 7, 8}, Edges{33, 40, 63}, Edges{70, 140, 257, 13},
                         Edges{130, 97, 96}, Edges{150, 140, 8203, 7, 0}, Edges{40, 530, 40, 1}}) {
    CAPTURE(e.sources);
    CAPTURE(e.length);
    const Contracted contracted(e);
    check_same_bits("scores", contracted.scores(DType::bf16), contracted.scores(DType::f32));
  }
}

TEST_CASE("ops that write bf16 round what they write as fp32") {
  const Context context = fast_context();
  Random random(6);
  const std::vector<float> x = random.values(3 * 70);
  const std::vector<float> base = random.values(70);
  check_rounds("combine", 70, [&](float* y, DType type) {
    combine(context, {.count = 70,
                      .a = 0.7f,
                      .x = x.data(),
                      .b = -1.3f,
                      .y = y,
                      .base = base.data(),
                      .type = type});
  });
  check_rounds("sum_blocks", 70, [&](float* y, DType type) {
    sum_blocks(context,
               {.groups = 1, .steps = 3, .block = 70, .x = x.data(), .y = y, .type = type});
  });
}

TEST_CASE("linear_forward that writes bf16 rounds what it writes as fp32") {
  const Context context = fast_context();
  for (const bool low_rank : {false, true}) {
    for (const auto dtype : {DType::f32, DType::bf16}) {
      CAPTURE(low_rank);
      Random random(7);
      const std::vector<float> values = random.values(24 * 16);
      std::vector<std::uint16_t> bits;
      for (const float value : values) bits.push_back(f32_to_bf16(value));
      const void* stored = dtype == DType::f32 ? static_cast<const void*>(values.data())
                                               : static_cast<const void*>(bits.data());
      LinearWeight weight =
          make_linear_weight(contiguous_view(stored, dtype, 24, 16), random.values(24));
      if (low_rank) {
        std::vector<float> a = random.values(2 * 16);
        std::vector<float> b = random.values(24 * 2);
        weight.low_rank = make_low_rank(2, 0.5f, std::move(a), std::move(b));
      }
      const std::vector<float> x = random.values(5 * 16);
      check_rounds("linear", 5 * 24, [&](float* y, DType type) {
        LinearForward p = whole_layer(weight, 5, x.data(), y);
        p.type = type;
        linear_forward(context, p);
      });
    }
  }
}

TEST_CASE("bf16 rows are refused where nobody writes or reads them") {
  const Context exact = levels().front().context(1);
  const Context fast = fast_context();
  float x[8] = {};
  float y[8] = {};
  CHECK(contracted_type(fast, 64) == DType::bf16);
  CHECK(contracted_type(fast, 60) == DType::f32);
  CHECK(contracted_type(exact, 64) == DType::f32);
  CHECK_THROWS_WITH_AS(combine(exact, {.count = 8, .x = x, .b = 0.0f, .y = y, .type = DType::bf16}),
                       doctest::Contains("combine: type"), Error);
  CHECK_THROWS_WITH_AS(combine(fast, {.count = 8, .x = x, .y = y, .type = DType::bf16}),
                       doctest::Contains("give base"), Error);
  CHECK_THROWS_WITH_AS(sum_blocks(fast, {.groups = 1,
                                         .steps = 1,
                                         .block = 8,
                                         .x = x,
                                         .y = y,
                                         .add_to_y = true,
                                         .type = DType::bf16}),
                       doctest::Contains("y is bf16"), Error);
  EdgeContraction odd{1, 1, 4, x, 4, x, 4, y, 1};
  odd.type = DType::bf16;
  CHECK_THROWS_WITH_AS(edge_contraction(fast, odd), doctest::Contains("multiple of 8"), Error);
}

}  // namespace headspark::test
