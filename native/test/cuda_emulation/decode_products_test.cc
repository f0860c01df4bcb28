// Products of decode steps, in parts of the depth where it is long: by the own kernel and by the
// stand-in for cuBLASLt.
#include <doctest/doctest.h>

#include "cuda/lt_products.h"
#include "cuda/product_sums.h"
#include "cuda/term_gemm.h"
#include "cuda_emulation/fake_cublas_lt.h"
#include "cuda_emulation/gemm_problem.h"
#include "cuda_emulation/library_device.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

using namespace cuda;

FakeCublasLt& fake = FakeCublasLt::get();

constexpr std::int64_t kDeep = 2048;  // two parts

enum class By { own_kernel, library, library_without_parts };

void answer(By by) {
  fake.has_algorithm = by != By::own_kernel;
  fake.has_parts = by == By::library;
}

std::vector<float> product_of(const GemmProblem& problem, By by, Precision precision,
                              std::int64_t rows, bool decoding) {
  LibraryDevice device;
  answer(by);
  std::vector<float> c = problem.room(rows);
  Gemm g = problem.with_all(rows, c.data());
  g.decoding = decoding;
  gemm(device, precision, g);
  return c;
}

/// The sums of half of the depth, or of all of it.
std::vector<float> sums_of(const GemmProblem& problem, By by, Precision precision,
                           std::int64_t begin, std::int64_t depth) {
  LibraryDevice device;
  answer(by);
  std::vector<float> c(static_cast<std::size_t>(problem.rows * problem.columns));
  Gemm g = problem.product(problem.rows, c.data());
  g.a.values += begin;
  g.b.data = problem.weight.data() + begin;
  g.depth = depth;
  gemm(device, precision, g);
  return c;
}

}  // namespace

TEST_CASE("products of decode steps: parts follow from the weight's shape") {
  const auto parts = [](std::int64_t columns, std::int64_t depth, bool by_depth = false) {
    Gemm g;
    g.columns = columns;
    g.depth = depth;
    g.b.by_depth = by_depth;
    CHECK(parts_of(g) == 1);
    g.decoding = true;
    return parts_of(g);
  };
  CHECK(parts(1536, 8960) == 5);  // Qwen2.5-1.5B: 12 tiles of columns
  CHECK(parts(1536, 1536) == 1);  // a second part would be short
  CHECK(parts(8960, 1536) == 1);
  CHECK(parts(3584, 18944) == 2);  // 7B: 28 tiles
  CHECK(parts(896, 4864) == 4);    // 0.5B
  CHECK(parts(151936, 1536) == 1);
  CHECK(parts(8, kDeep) == 2);
  CHECK(parts(8, kDeep + 64) == 1);  // odd in steps of 64
  CHECK(parts(8, kDeep + 8) == 1);
  CHECK(parts(8, 0) == 1);
  CHECK(parts(1536, 8960, true) == 1);  // backward
}

TEST_CASE("products of decode steps are the products, whoever sums them") {
  for (const By by : {By::own_kernel, By::library, By::library_without_parts}) {
    for (const auto precision : {Precision::exact, Precision::fast}) {
      for (const std::int64_t depth : {std::int64_t{48}, kDeep}) {
        const GemmProblem problem(66, 20, depth, false);
        const auto c = product_of(problem, by, precision, problem.rows, true);
        const double rounding = precision == Precision::exact ? 1e-6 : 1e-2;
        CHECK(problem.largest_error(c) <= rounding * std::sqrt(static_cast<double>(depth)));
      }
    }
  }
}

TEST_CASE("products of decode steps: the same bits in any step") {
  for (const By by : {By::own_kernel, By::library, By::library_without_parts}) {
    for (const auto precision : {Precision::exact, Precision::fast}) {
      // Many rows of a whole product lie in place as far as tiles are whole.
      for (const auto& [most, depth] : {std::pair{130, kDeep}, {1100, std::int64_t{16}}}) {
        const GemmProblem problem(most, 8, depth, false);
        const auto all = product_of(problem, by, precision, most, true);
        for (const std::int64_t rows : {1, 127, 129, 1024}) {
          if (rows > most) continue;
          const auto some = product_of(problem, by, precision, rows, true);
          check_same_bits("rows", some,
                          {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(some.size())});
        }
      }
    }
  }
}

TEST_CASE("products of decode steps: parts are added in order, before anything else") {
  for (const By by : {By::own_kernel, By::library}) {
    for (const auto precision : {Precision::exact, Precision::fast}) {
      const GemmProblem problem(20, 16, kDeep, false);
      std::vector<float> expected = sums_of(problem, by, precision, 0, kDeep / 2);
      const auto second = sums_of(problem, by, precision, kDeep / 2, kDeep / 2);
      for (std::size_t i = 0; i < second.size(); ++i) expected[i] += second[i];
      LibraryDevice device;
      answer(by);
      std::vector<float> plain(expected.size());
      std::vector<float> c(expected.size());
      Gemm g = problem.product(problem.rows, c.data());
      g.decoding = true;
      g.initial = problem.initial.data();
      g.plain = plain.data();
      gemm(device, precision, g);
      check_same_bits("plain", plain, expected);
      std::vector<std::uint16_t> narrow(expected.size());
      g.initial = nullptr;
      g.plain = nullptr;
      g.c = nullptr;
      g.narrow = narrow.data();
      gemm(device, precision, g);
      for (std::size_t i = 0; i < expected.size(); ++i) {
        CHECK(c[i] == expected[i] + problem.initial[i]);
        CHECK(narrow[i] == f32_to_bf16(expected[i]));
      }
    }
  }
}

TEST_CASE("products of decode steps: the same bits where rows do not allow 16 bytes at once") {
  const GemmProblem problem(5, 16, kDeep, false);
  GemmDevice device;
  const auto run = [&](std::int64_t skip, bool bias, bool narrow) {
    // Vectors are aligned to 16 bytes.
    std::vector<float> room(static_cast<std::size_t>(3 * (problem.rows * 16 + skip)), -1.0f);
    const auto part = [&](int i) { return room.data() + i * (problem.rows * 16 + skip) + skip; };
    std::copy_n(problem.initial.begin(), problem.rows * 16, part(2));
    Gemm g = problem.product(problem.rows, part(0));
    g.decoding = true;
    g.bias = bias ? problem.bias.data() : nullptr;
    if (narrow) {
      g.c = nullptr;
      g.narrow = reinterpret_cast<std::uint16_t*>(part(0));
    } else {
      g.plain = part(1);
      g.initial = part(2);
    }
    term_gemm(device, Precision::fast, g);
    std::vector<float> values(part(0), part(0) + problem.rows * 16);
    values.insert(values.end(), part(1), part(1) + problem.rows * 16);
    return values;
  };
  for (const bool bias : {false, true}) {
    for (const bool narrow : {false, true}) {
      check_same_bits("unaligned", run(1, bias, narrow), run(0, bias, narrow));
    }
  }
}

TEST_CASE("products of decode steps by cuBLASLt: one launch of all parts and rows") {
  const GemmProblem problem(130, 8, kDeep, false);
  LibraryDevice device;
  std::vector<float> c = problem.room(problem.rows);
  Gemm g = problem.with_all(problem.rows, c.data());
  g.decoding = true;
  gemm(device, Precision::fast, g);
  CHECK(fake.heuristics == 1);
  fake.multiplications = 0;
  fake.algorithms.clear();
  gemm(device, Precision::fast, g);
  CHECK(fake.multiplications == 1);
  CHECK(fake.algorithms == std::set<std::uint64_t>{kInParts + 2});
}

TEST_CASE("products of decode steps by cuBLASLt: whole ones where the parts' bits may not do") {
  const GemmProblem problem(130, 8, kDeep, false);
  const auto whole = product_of(problem, By::library, Precision::exact, problem.rows, false);
  for (const bool otherwise : {false, true}) {
    LibraryDevice device;
    fake.has_parts = otherwise;
    fake.parts_round_otherwise = otherwise;
    std::vector<float> c = problem.room(problem.rows);
    Gemm g = problem.with_all(problem.rows, c.data());
    g.decoding = true;
    gemm(device, Precision::exact, g);
    check_same_bits("whole", c, whole);
  }
}

}  // namespace headspark::test
