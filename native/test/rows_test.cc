// Row movement and element-wise sums on every level.
#include "headspark/ops/rows.h"

#include <doctest/doctest.h>

#include <cmath>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {

TEST_CASE("gather_rows and scatter_add_rows move whole rows") {
  Random random(3);
  const std::int32_t index[] = {5, 0, 3};
  for (const std::int64_t width : {1, 7, 64}) {
    const std::vector<float> x = random.values(6 * width);
    const std::vector<float> part = random.values(3 * width);
    check_case({"rows", 0.0, [&](const Context& context, Outputs& outputs) {
                  float* gathered = outputs.dense("gathered", 3 * width);
                  gather_rows(context, 3, width, index, x.data(), gathered);
                  float* sum = outputs.initial("sum", x);
                  scatter_add_rows(context, 3, width, index, part.data(), sum);
                  for (std::int64_t i = 0; i < width; ++i) {
                    const auto at = [&](std::int64_t row) {
                      return static_cast<std::size_t>(row * width + i);
                    };
                    CHECK(gathered[at(1)] == x[at(0)]);
                    CHECK(sum[at(3)] == x[at(3)] + part[at(2)]);
                    CHECK(sum[at(4)] == x[at(4)]);
                  }
                }});
  }
}

TEST_CASE("combine agrees with the specification and b = 0 never reads y") {
  Random random(9);
  for (const std::int64_t count : {0, 1, 19, 4097, 10000}) {
    const std::vector<float> x = random.values(count);
    const std::vector<float> y = random.values(count);
    check_case({"combine", 1e-6, [&](const Context& context, Outputs& outputs) {
                  combine(context, {count, 0.3f, x.data(), -1.7f, outputs.initial("y", y)});
                  // Unwritten elements are NaN: reading them would show.
                  combine(context, {count, 2.0f, x.data(), 0.0f, outputs.dense("zero", count)});
                }});
  }
}

TEST_CASE("interpolate agrees with the specification and hits both ends exactly") {
  Random random(9);
  const std::vector<float> alpha = {0.0f, 1.0f, 0.2f, 0.5f};
  for (const std::int64_t width : {1, 16, 100}) {
    const std::vector<float> clean = random.values(4 * width);
    const std::vector<float> corrupted = random.values(4 * width);
    check_case({"interpolate", 1e-6, [&](const Context& context, Outputs& outputs) {
                  float* y = outputs.dense("y", 4 * width);
                  interpolate(context, {4, width, alpha.data(), clean.data(), corrupted.data(), y});
                  for (std::int64_t i = 0; i < width; ++i) {
                    const auto at = static_cast<std::size_t>(i);
                    CHECK(y[at] == corrupted[at]);
                    CHECK(y[width + i] == clean[static_cast<std::size_t>(width + i)]);
                  }
                }});
  }
}

TEST_CASE("sum_blocks agrees with the specification") {
  Random random(10);
  for (const std::int64_t block : {1, 31, 5000}) {
    for (const std::int64_t steps : {0, 1, 5}) {
      const std::vector<float> x = random.values(2 * steps * block);
      const std::vector<float> y = random.values(2 * block);
      check_case({"sum_blocks", 1e-6, [&](const Context& context, Outputs& outputs) {
                    SumBlocks p{2, steps, block, x.data(), outputs.dense("y", 2 * block)};
                    sum_blocks(context, p);
                    p.y = outputs.initial("added", y);
                    p.add_to_y = true;
                    sum_blocks(context, p);
                  }});
    }
  }
}

TEST_CASE("sum_rows adds rows in order, in double, whatever calls they are cut into") {
  Random random(11);
  const std::int64_t rows = 300;
  const std::int64_t slots = 3;
  std::vector<std::int32_t> slot_of;
  for (std::int64_t t = 0; t < rows; ++t) {
    slot_of.push_back(static_cast<std::int32_t>(random.below(slots)));
  }
  for (const std::int64_t width : {1, 65, 300}) {
    const std::vector<float> x = random.values(rows * width, -1e4f, 1e4f);
    for (const bool by_slot : {false, true}) {
      const std::int64_t used = by_slot ? slots : 1;
      std::vector<double> expected(static_cast<std::size_t>(used * width), 0.25);
      for (std::int64_t t = 0; t < rows; ++t) {
        const std::int64_t slot = by_slot ? slot_of[static_cast<std::size_t>(t)] : 0;
        for (std::int64_t i = 0; i < width; ++i) {
          expected[static_cast<std::size_t>(slot * width + i)] +=
              static_cast<double>(x[static_cast<std::size_t>(t * width + i)]);
        }
      }
      for (const Level& level : levels()) {
        for (const std::int64_t first : {std::int64_t{0}, std::int64_t{7}, rows}) {
          std::vector<double> sums(expected.size(), 0.25);
          SumRows p{first, width, by_slot ? slot_of.data() : nullptr, used, x.data(), sums.data()};
          sum_rows(level.context(3), p);
          p.rows = rows - first;
          p.slots = by_slot ? slot_of.data() + first : nullptr;
          p.x = x.data() + first * width;
          sum_rows(level.context(1), p);
          CHECK_MESSAGE(sums == expected, level.name, ", cut at ", first);
        }
      }
    }
  }
}

TEST_CASE("row_norms of all rows and of some, in double") {
  Random random(12);
  const std::int32_t index[] = {18, 0, 7, 7};
  for (const std::int64_t width : {0, 1, 31, 33, 300}) {
    const std::vector<float> x = random.values(19 * width, -1e3f, 1e3f);
    for (const bool some : {false, true}) {
      const std::int64_t rows = some ? 4 : 19;
      for (const Level& level : levels()) {
        std::vector<double> norms(static_cast<std::size_t>(rows + 1), -1.0);
        row_norms(level.context(3), {rows, width, some ? index : nullptr, x.data(), norms.data()});
        for (std::int64_t row = 0; row < rows; ++row) {
          double squares = 0.0;
          for (std::int64_t i = 0; i < width; ++i) {
            const double value = x[static_cast<std::size_t>((some ? index[row] : row) * width + i)];
            squares += value * value;
          }
          const double difference = norms[static_cast<std::size_t>(row)] - std::sqrt(squares);
          CHECK_MESSAGE(std::abs(difference) <= 1e-13 * std::sqrt(squares), level.name);
        }
        CHECK(norms.back() == -1.0);
      }
    }
  }
}

TEST_CASE("row ops refuse null arrays by name") {
  const Context context = make_cpu_context(1, Isa::specification);
  float x[1] = {};
  const std::int32_t index[] = {0};
  CHECK_THROWS_WITH_AS(gather_rows(context, 1, 1, index, nullptr, x),
                       doctest::Contains("x is null"), Error);
  CHECK_THROWS_WITH_AS(combine(context, {1, 1.0f, x, 1.0f, nullptr}),
                       doctest::Contains("y is null"), Error);
  CHECK_THROWS_WITH_AS(sum_rows(context, {1, 1, nullptr, 2, x, nullptr}),
                       doctest::Contains("slots is null"), Error);
  CHECK_THROWS_WITH_AS(row_norms(context, {1, 1, nullptr, x, nullptr}),
                       doctest::Contains("norms is null"), Error);
}

}  // namespace headspark::test
