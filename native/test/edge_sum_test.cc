// edge_sum and argmax_rows against their formulas written out in double.
#include "headspark/ops/edge_sum.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "headspark/error.h"
#include "headspark/ops/argmax.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

struct EdgeSumFixture {
  std::int64_t sources, destinations, length;
  std::int64_t mask_stride, difference_stride, y_stride;
  std::vector<std::uint8_t> mask;
  std::vector<float> difference, base;

  EdgeSumFixture(std::int64_t u, std::int64_t v, std::int64_t n, std::uint64_t seed)
      : sources(u),
        destinations(v),
        length(n),
        mask_stride(v + 3),
        difference_stride(n + 5),
        y_stride(n + 2) {
    Random random(seed);
    for (std::int64_t i = 0; i < u * mask_stride; ++i) {
      mask.push_back(static_cast<std::uint8_t>(random.below(2)));
    }
    difference = random.values(u * difference_stride);
    base = random.values(n);
  }

  EdgeSum params(float* y) const {
    EdgeSum p;
    p.sources = sources;
    p.destinations = destinations;
    p.length = length;
    p.mask = mask.data();
    p.mask_stride = mask_stride;
    p.difference = difference.data();
    p.difference_stride = difference_stride;
    p.base = base.data();
    p.y = y;
    p.y_stride = y_stride;
    return p;
  }

  double expected(std::int64_t v, std::int64_t i) const {
    double sum = base[static_cast<std::size_t>(i)];
    for (std::int64_t u = 0; u < sources; ++u) {
      if (mask[static_cast<std::size_t>(u * mask_stride + v)] != 0) {
        sum += difference[static_cast<std::size_t>(u * difference_stride + i)];
      }
    }
    return sum;
  }
};

}  // namespace

TEST_CASE("edge_sum adds the differences of the circuit's edges to the base") {
  for (const std::int64_t length : {1, 511, 512, 1300}) {
    for (const std::int64_t sources : {0, 1, 40}) {
      const EdgeSumFixture fixture(sources, 4, length, 5);
      check_case({"edge_sum", 0.0, [&](const Context& context, Outputs& outputs) {
                    float* y = outputs.strided("y", 4 * fixture.y_stride);
                    edge_sum(context, fixture.params(y));
                    for (std::int64_t v = 0; v < 4; ++v) {
                      for (std::int64_t i = 0; i < length; ++i) {
                        const double expected = fixture.expected(v, i);
                        const double difference =
                            static_cast<double>(y[v * fixture.y_stride + i]) - expected;
                        CHECK(std::abs(difference) <= 1e-5);
                      }
                    }
                  }});
    }
  }
}

TEST_CASE("edge_sum: sums of the same differences, of other sources, and on top of them") {
  const EdgeSumFixture fixture(230, 6, 1300, 8);
  check_case({"edge_sum", 0.0, [&](const Context& context, Outputs& outputs) {
                float* y = outputs.strided("y", 6 * fixture.y_stride);
                const EdgeSum whole = fixture.params(y);
                EdgeSum few = whole;  // columns 0 to 3, of the first sources
                few.sources = 100;
                few.destinations = 4;
                EdgeSum none = whole;  // column 4, of no source
                none.sources = 0;
                none.destinations = 1;
                none.y += 4 * fixture.y_stride;
                EdgeSum other = whole;  // column 5, from elsewhere
                other.length = 700;
                other.destinations = 1;
                other.mask += 5;
                other.y += 5 * fixture.y_stride;
                EdgeSum rest = other;
                rest.length = 600;
                rest.difference += 700;
                rest.base += 700;
                rest.y += 700;
                const EdgeSum sums[] = {few, none, other, rest};
                edge_sum(context, sums);
                EdgeSum later = whole;
                later.sources = 130;
                later.destinations = 4;
                later.mask += 100 * fixture.mask_stride;
                later.difference += 100 * fixture.difference_stride;
                later.base = nullptr;
                edge_sum(context, later);
                for (const std::int64_t v : {0, 1, 2, 3, 5}) {
                  for (std::int64_t i = 0; i < fixture.length; ++i) {
                    const double difference =
                        static_cast<double>(y[v * fixture.y_stride + i]) - fixture.expected(v, i);
                    CHECK(std::abs(difference) <= 2e-5);
                  }
                }
                for (std::int64_t i = 0; i < fixture.length; ++i) {
                  CHECK(y[4 * fixture.y_stride + i] == fixture.base[static_cast<std::size_t>(i)]);
                }
              }});
}

TEST_CASE("edge_sum: many destinations, of which few or all read each of many sources") {
  constexpr std::int64_t kSources = 300;
  constexpr std::int64_t kDestinations = 70;
  for (const std::int64_t length : {30, 31}) {
    for (const std::int64_t one_in : {1, 60}) {
      EdgeSumFixture fixture(kSources, kDestinations, length, 12);
      fixture.difference_stride = length + 6;
      fixture.y_stride = length + 4;
      Random random(13);
      for (std::uint8_t& edge : fixture.mask) edge = random.below(one_in) == 0 ? 1 : 0;
      fixture.difference = random.values(kSources * fixture.difference_stride);
      const std::vector<float> before = random.values(kDestinations * fixture.y_stride);
      check_case({"edge_sum", 0.0, [&](const Context& context, Outputs& outputs) {
                    float* y = outputs.strided("y", kDestinations * fixture.y_stride);
                    edge_sum(context, fixture.params(y));
                    for (std::int64_t v = 0; v < kDestinations; ++v) {
                      for (std::int64_t i = 0; i < length; ++i) {
                        const double difference = static_cast<double>(y[v * fixture.y_stride + i]) -
                                                  fixture.expected(v, i);
                        CHECK(std::abs(difference) <= 5e-5);
                      }
                    }
                    EdgeSum added = fixture.params(outputs.initial("added", before));
                    added.base = nullptr;
                    edge_sum(context, added);
                    // More sums of the same differences than a launch takes.
                    std::vector<EdgeSum> columns;
                    for (std::int64_t v = 0; v < 20; ++v) {
                      columns.push_back(fixture.params(y + v * fixture.y_stride));
                      columns.back().mask += v;
                      columns.back().destinations = 1;
                    }
                    edge_sum(context, columns);
                  }});
    }
  }
}

TEST_CASE("edge_sum of some tokens leaves the others alone") {
  for (const std::int64_t width : {7, 520}) {
    const std::int64_t tokens = 5;
    const EdgeSumFixture fixture(40, 3, tokens * width, 14);
    const std::vector<float> before(static_cast<std::size_t>(3 * fixture.y_stride), -3.0f);
    const std::int32_t index[] = {4, 0, 3};
    check_case({"edge_sum", 0.0, [&](const Context& context, Outputs& outputs) {
                  float* y = outputs.initial("y", before);
                  EdgeSum some = fixture.params(y);
                  some.length = 3 * width;
                  some.index = index;
                  some.width = width;
                  edge_sum(context, some);
                  for (std::int64_t v = 0; v < 3; ++v) {
                    for (std::int64_t i = 0; i < tokens * width; ++i) {
                      const bool summed = i / width != 1 && i / width != 2;
                      const double expected = summed ? fixture.expected(v, i) : -3.0;
                      CHECK(std::abs(y[v * fixture.y_stride + i] - expected) <= 1e-5);
                    }
                  }
                }});
  }
  const EdgeSumFixture fixture(1, 1, 6, 15);
  std::vector<float> y(8);
  const std::int32_t index[] = {0};
  EdgeSum some = fixture.params(y.data());
  some.index = index;
  some.width = 4;
  CHECK_THROWS_WITH_AS(edge_sum(make_cpu_context(1, Isa::specification), some),
                       doctest::Contains("multiple of width"), Error);
}

TEST_CASE("edge_sum: an infinite difference stays with the edges that carry it") {
  EdgeSumFixture fixture(3, 2, 70, 9);
  fixture.mask.assign(fixture.mask.size(), 0);
  fixture.mask[0] = 1;  // source 0 into destination 0
  fixture.mask[static_cast<std::size_t>(fixture.mask_stride) + 1] = 1;  // 1 into 1
  fixture.difference[5] = std::numeric_limits<float>::infinity();
  for (const Level& level : levels()) {
    std::vector<float> y(static_cast<std::size_t>(2 * fixture.y_stride));
    edge_sum(level.context(1), fixture.params(y.data()));
    CHECK(std::isinf(y[5]));
    CHECK(std::isfinite(y[static_cast<std::size_t>(fixture.y_stride) + 5]));
  }
}

TEST_CASE("edge_sum at a position does not depend on the length") {
  const EdgeSumFixture fixture(17, 3, 1500, 6);
  const Context context = make_cpu_context(2, default_isa());
  Outputs whole;
  float* all = whole.strided("all", 3 * fixture.y_stride);
  edge_sum(context, fixture.params(all));
  Outputs cut;
  float* part = cut.strided("part", 3 * fixture.y_stride);
  EdgeSum params = fixture.params(part);
  params.length = 700;
  edge_sum(context, params);
  for (std::int64_t v = 0; v < 3; ++v) {
    for (std::int64_t i = 0; i < 700; ++i) {
      CHECK(part[v * fixture.y_stride + i] == all[v * fixture.y_stride + i]);
    }
  }
}

TEST_CASE("argmax_rows finds the first of the largest") {
  const std::vector<float> x = {0.0f, 3.0f, 3.0f, -1.0f, -5.0f, -4.0f, -4.0f, -9.0f};
  for (const Level& level : levels()) {
    std::int32_t index[] = {-1, -1, 77};
    argmax_rows(level.context(2), 2, 4, x.data(), index);
    CHECK(index[0] == 1);
    CHECK(index[1] == 1);
    CHECK(index[2] == 77);
    CHECK_THROWS_AS(argmax_rows(level.context(1), 1, 0, x.data(), index), Error);
    CHECK_THROWS_AS(argmax_rows(level.context(1), 1, 4, nullptr, index), Error);
  }
}

// Few distinct values, so that ties lie near and far apart; NaN first, inside and at the end; all
// alike; infinities; zeros of both signs.
TEST_CASE("argmax_rows: long rows with ties, NaN and infinities, as the specification has them") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  for (const std::int64_t width : {1, 15, 1024, 1025, 5000}) {
    std::vector<std::vector<float>> rows;
    Random random(static_cast<std::uint64_t>(width));
    for (int i = 0; i < 40; ++i) {
      std::vector<float> row = random.values(width);
      for (float& value : row) {
        if (i % 2 == 0) value = std::round(4.0f * value);
      }
      const auto some = [&] { return static_cast<std::size_t>(random.below(width)); };
      if (i % 5 == 1) row[some()] = kInfinity;
      if (i % 5 == 2) row[some()] = kNan;
      if (i % 5 == 3) row.back() = row[some()] = 2.0f;
      rows.push_back(row);
    }
    for (const float value : {0.0f, -kInfinity, kInfinity, kNan}) {
      rows.push_back(std::vector<float>(static_cast<std::size_t>(width), value));
    }
    rows.push_back(rows.front());
    rows.back().front() = kNan;
    rows.push_back(std::vector<float>(static_cast<std::size_t>(width), -0.0f));
    rows.back().back() = 0.0f;
    std::vector<float> x;
    for (const auto& row : rows) x.insert(x.end(), row.begin(), row.end());
    const auto count = std::ssize(rows);
    std::vector<std::int32_t> expected(rows.size());
    argmax_rows(make_cpu_context(1, Isa::specification), count, width, x.data(), expected.data());
    for (const Level& level : levels()) {
      for (const int threads : {1, 3}) {
        CAPTURE(level.name + ", width " + std::to_string(width));
        std::vector<std::int32_t> index(rows.size(), -1);
        argmax_rows(level.context(threads), count, width, x.data(), index.data());
        CHECK(index == expected);
      }
    }
  }
}

}  // namespace headspark::test
