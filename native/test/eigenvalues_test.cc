// Eigenvalues against matrices whose eigenvalues are known.
#include "engine/eigenvalues.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "op_suite.h"

namespace headspark::test {
namespace {

using Complex = std::complex<double>;

/// Each expected value is matched by one computed value.
void check_values(const std::vector<double>& matrix, std::int64_t n, std::vector<Complex> expected,
                  double tolerance = 1e-10) {
  std::vector<Complex> values = eigenvalues(matrix, n);
  REQUIRE(values.size() == expected.size());
  for (const Complex& wanted : expected) {
    const auto nearest =
        std::min_element(values.begin(), values.end(), [&](const Complex& a, const Complex& b) {
          return std::abs(a - wanted) < std::abs(b - wanted);
        });
    CHECK(std::abs(*nearest - wanted) <= tolerance);
    values.erase(nearest);
  }
}

std::vector<double> product(const std::vector<double>& a, const std::vector<double>& b,
                            std::int64_t n) {
  std::vector<double> c(a.size(), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t k = 0; k < n; ++k) {
      for (std::int64_t j = 0; j < n; ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
    }
  }
  return c;
}

/// H D H for the reflection H of a random vector and block-diagonal D.
std::vector<double> hidden_in_reflection(const std::vector<double>& d, std::int64_t n,
                                         std::uint64_t seed) {
  Random random(seed);
  std::vector<double> v;
  double length = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    v.push_back(random.uniform(-1.0f, 1.0f));
    length += v.back() * v.back();
  }
  std::vector<double> h(d.size());
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) h[i * n + j] = (i == j) - 2.0 * v[i] * v[j] / length;
  }
  return product(product(h, d, n), h, n);
}

}  // namespace

TEST_CASE("eigenvalues of small matrices") {
  check_values({}, 0, {});
  check_values({-3.0}, 1, {-3.0});
  check_values({2.0, 1.0, 1.0, 2.0}, 2, {3.0, 1.0});
  check_values({0.0, -1.0, 1.0, 0.0}, 2, {Complex(0, 1), Complex(0, -1)});
  check_values({0.0, 0.0, 0.0, 0.0}, 2, {0.0, 0.0});
  // The companion matrix of (x - 1)(x - 2)(x - 3).
  check_values({6.0, -11.0, 6.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0}, 3, {1.0, 2.0, 3.0});
  // A cyclic permutation: on it plain shifts run in circles.
  check_values({0, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0}, 4,
               {1.0, -1.0, Complex(0, 1), Complex(0, -1)});
}

TEST_CASE("eigenvalues of a matrix made of known ones") {
  for (const std::int64_t n : {7, 16, 64, 129}) {
    std::vector<double> d(static_cast<std::size_t>(n * n), 0.0);
    std::vector<Complex> expected;
    for (std::int64_t i = 0; i < n; ++i) {
      const double value = 0.5 * static_cast<double>(i) - 3.0;
      d[i * n + i] = value;
      if (i % 5 == 3) {  // a pair value +- 2i of this and the one before
        d[(i - 1) * n + i - 1] = value;
        d[(i - 1) * n + i] = -2.0;
        d[i * n + i - 1] = 2.0;
        expected.back() = Complex(value, 2.0);
        expected.emplace_back(value, -2.0);
      } else {
        expected.emplace_back(value);
      }
    }
    check_values(hidden_in_reflection(d, n, 3), n, expected, 1e-9);
  }
}

TEST_CASE("eigenvalues of what is not finite are NaN") {
  for (const Complex& value : eigenvalues({1.0, std::nan(""), 0.0, 1.0}, 2)) {
    CHECK(std::isnan(value.real()));
  }
}

}  // namespace headspark::test
