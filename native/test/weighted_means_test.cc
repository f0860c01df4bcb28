// Means under many weightings: the bits of a plain sum in double precision, on every level.
#include "headspark/weighted_means.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

struct Sizes {
  std::int64_t pairs, columns, rows;
};

/// Whole numbers from 0 to 3, the last pair's at least 1.
std::vector<std::uint32_t> some_weights(const Sizes& sizes) {
  std::vector<std::uint32_t> weights;
  for (std::int64_t row = 0; row < sizes.rows; ++row) {
    for (std::int64_t pair = 0; pair < sizes.pairs; ++pair) {
      weights.push_back(static_cast<std::uint32_t>((pair * 7 + row * 3) % 4));
    }
    if (weights.back() == 0) weights.back() = 1;
  }
  return weights;
}

float plain_mean(const std::vector<float>& values, const std::uint32_t* weights, const Sizes& sizes,
                 std::int64_t column) {
  double sum = 0.0;
  double total = 0.0;
  for (std::int64_t pair = 0; pair < sizes.pairs; ++pair) {
    sum += static_cast<double>(weights[pair]) * values[pair * sizes.columns + column];
    total += weights[pair];
  }
  return static_cast<float>(sum / total);
}

TEST_CASE("weighted means: the bits of plain sums, on every level") {
  const Sizes all[] = {{1, 1, 1},    {2, 7, 3},     {3, 64, 2},     {4, 1024, 1},
                       {5, 1025, 9}, {16, 3001, 4}, {300, 1500, 3}, {5000, 130, 2}};
  for (const Sizes& sizes : all) {
    const std::vector<float> values = Random(11).values(sizes.pairs * sizes.columns);
    const std::vector<std::uint32_t> weights = some_weights(sizes);
    for (const Isa isa : cpu_levels()) {
      CAPTURE(sizes.pairs);
      CAPTURE(sizes.columns);
      CAPTURE(isa_name(isa));
      GuardedArray means("means", sizes.rows * sizes.columns);
      weighted_means(make_cpu_context(3, isa), {values.data(), sizes.pairs, sizes.columns,
                                                weights.data(), sizes.rows, means.data()});
      std::int64_t wrong = 0;
      for (std::int64_t row = 0; row < sizes.rows; ++row) {
        const std::uint32_t* own = weights.data() + row * sizes.pairs;
        for (std::int64_t column = 0; column < sizes.columns; ++column) {
          const float expected = plain_mean(values, own, sizes, column);
          wrong += means.data()[row * sizes.columns + column] == expected ? 0 : 1;
        }
      }
      CHECK(wrong == 0);
      CHECK(means.guards_intact());
    }
  }
}

TEST_CASE("weighted means refuse weights that have no mean or no exact product") {
  const float values[2] = {1.0f, 2.0f};
  float mean = 0.0f;
  const auto with = [&](std::uint32_t a, std::uint32_t b) {
    const std::uint32_t weights[2] = {a, b};
    weighted_means(make_cpu_context(1, Isa::portable), {values, 2, 1, weights, 1, &mean});
  };
  CHECK_THROWS_WITH_AS(with(0, 0), "weighted_means: a row of weights is all 0.", Error);
  CHECK_THROWS_WITH_AS(with(1, 1u << 29), "weighted_means: a weight is 2^29 or more.", Error);
  with(1, 3);
  CHECK(mean == 1.75f);
}

}  // namespace
}  // namespace headspark::test
