// Products by cuBLASLt, against a stand-in for the library. The tiling, the terms, the padding and
// what follows the product are headspark's own and tested here; the library itself is not.
#include "cuda/library_gemm.h"

#include <doctest/doctest.h>

#include <cmath>

#include "cuda/lt_products.h"
#include "cuda_emulation/fake_cublas_lt.h"
#include "cuda_emulation/gemm_problem.h"
#include "cuda_emulation/library_device.h"
#include "headspark/backend.h"
#include "headspark/dtype.h"
#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

using namespace cuda;

FakeCublasLt& fake = FakeCublasLt::get();

std::vector<float> run(const GemmProblem& problem, OpDevice& device, Precision precision,
                       std::int64_t count) {
  std::vector<float> c = problem.room(count);
  CHECK(library_gemm(device, precision, problem.with_all(count, c.data())));
  return c;
}

}  // namespace

TEST_CASE("products by cuBLASLt are the products, in terms that hold all bits") {
  for (const bool by_depth : {false, true}) {
    for (const auto precision : {Precision::exact, Precision::fast}) {
      const GemmProblem problem(150, 20, 37, by_depth);
      LibraryDevice device;
      const std::vector<float> c = run(problem, device, precision, problem.rows);
      const int trials = kShapeTrials;
      CHECK(fake.multiplications == trials + (precision == Precision::exact ? 3 : 1));
      CHECK(fake.reduction_schemes == 0);
      const double largest = problem.largest_error(c);
      CHECK(largest <= (precision == Precision::exact ? 4e-6 : 6e-2));
    }
  }
}

TEST_CASE("products by cuBLASLt with weights of several terms leave out what is too small") {
  for (const bool by_depth : {false, true}) {
    for (const int terms : {2, 3}) {
      const GemmProblem problem(1100, 20, 37, by_depth, terms);
      LibraryDevice device;
      const std::vector<float> c = run(problem, device, Precision::exact, problem.rows);
      const int trials = kShapeTrials;
      CHECK(fake.multiplications == trials + (terms == 2 ? 5 : 6));
      CHECK(problem.largest_error(c) <= 4e-6);
      const std::vector<float> first = run(problem, device, Precision::exact, 1);
      CHECK(std::equal(first.begin(), first.end(), c.begin()));
      std::vector<float> unused = problem.room(1);
      CHECK_THROWS_AS(gemm(device, Precision::fast, problem.with_all(1, unused.data())), Error);
    }
  }
}

TEST_CASE("products by cuBLASLt: one choice per shape of the weight, the same bits for any rows") {
  constexpr std::int64_t kMany = (kFewTiles + 1) * kLtTileRows;
  const GemmProblem problem(kMany, 24, 40, false);
  for (const bool otherwise : {false, true}) {
    LibraryDevice device;
    fake.few_round_otherwise = otherwise;
    const std::vector<float> all = run(problem, device, Precision::exact, kMany);
    CHECK(fake.heuristics == 2);
    for (const std::int64_t rows : {1, 127, 128, 129, 256, 384}) {
      fake.algorithms.clear();
      const std::vector<float> some = run(problem, device, Precision::exact, rows);
      check_same_bits("rows", some,
                      {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(some.size())});
      // What is chosen for one tile is used for few rows, unless it gives other bits.
      const std::uint64_t tiles = otherwise ? kOneMatrix : 1;
      CHECK(fake.algorithms == std::set<std::uint64_t>{tiles});
    }
    fake.algorithms.clear();
    run(problem, device, Precision::exact, kMany);
    CHECK(fake.algorithms == std::set<std::uint64_t>{kOneMatrix});
    CHECK(fake.heuristics == 2);
  }
}

TEST_CASE("products by cuBLASLt: a batch of tiles where rows get other bits among more rows") {
  constexpr std::int64_t kMany = (kFewTiles + 1) * kLtTileRows;
  const GemmProblem problem(kMany, 24, 40, false);
  LibraryDevice device;
  fake.matrix_rounds_otherwise = true;
  const std::vector<float> all = run(problem, device, Precision::exact, kMany);
  CHECK(fake.heuristics == 3);
  for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{300}, kMany}) {
    fake.algorithms.clear();
    const std::vector<float> some = run(problem, device, Precision::exact, rows);
    check_same_bits("rows", some,
                    {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(some.size())});
    const std::uint64_t tiles = rows == kMany ? kManyTiles : 1;
    CHECK(fake.algorithms == std::set<std::uint64_t>{tiles});
  }
}

TEST_CASE("products by cuBLASLt: the sums of a deep product do not drift as its tensor cores do") {
  for (const bool by_depth : {false, true}) {
    const GemmProblem problem(130, 4, 4000, by_depth);
    LibraryDevice device;
    fake.cuts_sums = true;
    const std::vector<float> c = run(problem, device, Precision::exact, problem.rows);
    CHECK(problem.largest_error(c) <= 2e-4);  // 1e-3 without slices
    fake.multiplications = 0;
    const std::vector<float> first = run(problem, device, Precision::exact, 1);
    CHECK(fake.multiplications == 4 + 2);  // slices of the leading terms, and the other terms
    check_same_bits("rows", first,
                    {c.begin(), c.begin() + static_cast<std::ptrdiff_t>(first.size())});
    fake.multiplications = 0;
    run(problem, device, Precision::fast, 1);
    CHECK(fake.multiplications == 1);
  }
}

TEST_CASE("products by cuBLASLt: no algorithm whose bits depend on how many rows there are") {
  for (const bool refuses : {false, true}) {
    const GemmProblem problem(300, 24, 40, false);
    LibraryDevice device;
    (refuses ? fake.refuses_one_tile : fake.many_round_otherwise) = true;
    std::vector<float> c = problem.room(problem.rows);
    const Gemm product = problem.with_all(problem.rows, c.data());
    CHECK_FALSE(library_gemm(device, Precision::exact, product));
  }
}

TEST_CASE("products by cuBLASLt: a row's bits do not depend on who writes it where") {
  const std::int64_t most = 1100;  // whole tiles in place, the rest by way of scratch
  const GemmProblem problem(most, 8, 16, false);
  for (const auto precision : {Precision::exact, Precision::fast}) {
    for (const bool plain : {false, true}) {
      for (const bool initial : {false, true}) {
        LibraryDevice device;
        const auto run = [&](std::int64_t rows) {
          const std::vector<float> residual(problem.initial.begin(),
                                            problem.initial.begin() + rows * 8);
          std::vector<float> c(static_cast<std::size_t>(rows * 8), -1.0f);
          std::vector<float> own(c.size(), -1.0f);
          Gemm g = problem.product(rows, c.data());
          g.initial = initial ? residual.data() : nullptr;
          g.plain = plain ? own.data() : nullptr;
          gemm(device, precision, g);
          c.insert(c.end(), own.begin(), own.end());
          return c;
        };
        const std::vector<float> all = run(most);
        for (const std::int64_t rows : {1, 128, 129, 1023, 1024}) {
          const std::vector<float> some = run(rows);
          for (const std::int64_t begin : {std::int64_t{0}, rows * 8}) {
            const auto first = all.begin() + (begin > 0 ? most * 8 : 0);
            check_same_bits("rows", {some.begin() + begin, some.begin() + begin + rows * 8},
                            {first, first + rows * 8});
          }
        }
        CHECK(fake.heuristics == 2);
      }
    }
  }
}

TEST_CASE("products by cuBLASLt: it adds the bias of a layer itself, to the sum of all terms") {
  const std::int64_t most = 1100;
  const GemmProblem problem(most, 8, 16, false);
  for (const auto& [precision, has] :
       {std::pair{Precision::exact, true}, {Precision::fast, true}, {Precision::exact, false}}) {
    LibraryDevice device;
    fake.has_epilogues = has;
    const auto run = [&](std::int64_t rows, const float* bias) {
      std::vector<float> c(static_cast<std::size_t>(rows * 8), -1.0f);
      Gemm g = problem.product(rows, c.data());
      g.bias = bias;
      gemm(device, precision, g);
      return c;
    };
    // Where it is not aligned to 16 bytes, the pass after the product adds it.
    std::vector<float> room(12);  // vectors are aligned to 16 bytes
    float* const apart = room.data() + 1;
    std::copy(problem.bias.begin(), problem.bias.end(), apart);
    for (const std::int64_t rows : {std::int64_t{1}, std::int64_t{128}, std::int64_t{1024}, most}) {
      std::vector<float> expected = run(rows, nullptr);
      for (std::size_t i = 0; i < expected.size(); ++i) expected[i] += problem.bias[i % 8];
      fake.biases = 0;
      check_same_bits("aligned", run(rows, problem.bias.data()), expected);
      CHECK((fake.biases > 0) == has);
      fake.biases = 0;
      check_same_bits("not aligned", run(rows, apart), expected);
      CHECK(fake.biases == 0);
    }
  }
}

TEST_CASE("products that are bf16 are the fp32 ones rounded, whoever writes and rounds them") {
  struct Rounded {
    std::int64_t columns;  // the library rounds multiples of 8
    bool bias;
    bool library;
    bool epilogues = true;
  };
  for (const Rounded& c : {Rounded{8, false, true},
                           {8, true, true},
                           {12, false, true},
                           {8, false, true, false},
                           {8, false, false},
                           {7, true, false}}) {
    const GemmProblem problem(1100, c.columns, 16, false);
    LibraryDevice device;
    fake.has_algorithm = c.library;
    fake.has_epilogues = c.epilogues;
    for (const auto precision : {Precision::exact, Precision::fast}) {
      for (const std::int64_t rows : {1, 128, 129, 1024, 1100}) {
        std::vector<float> values(static_cast<std::size_t>(rows * c.columns));
        Gemm g = problem.product(rows, values.data());
        if (c.bias) g.bias = problem.bias.data();
        gemm(device, precision, g);
        std::vector<std::uint16_t> narrow(values.size() + 1, 0x7fc1);
        g.c = nullptr;
        g.narrow = narrow.data();
        gemm(device, precision, g);
        std::vector<std::uint16_t> expected;
        for (const float value : values) expected.push_back(f32_to_bf16(value));
        expected.push_back(0x7fc1);
        CAPTURE(c.columns);
        CAPTURE(rows);
        CHECK(narrow == expected);
      }
    }
    Gemm adds;
    adds.rows = adds.columns = 1;
    std::uint16_t narrow = 0;
    adds.narrow = &narrow;
    adds.initial = problem.initial.data();
    CHECK_THROWS_AS(gemm(device, Precision::fast, adds), Error);
  }
}

TEST_CASE("own products of terms have the bits of products of fp32") {
  Random random(8);
  const std::int64_t rows = 70;
  const std::int64_t columns = 20;
  const std::int64_t depth = 75;  // 37 pairs and one more; two tiles of 32 and a part of one
  const std::vector<float> a = random.values(rows * depth);
  const std::vector<float> initial = random.values(rows * columns);
  std::vector<std::uint16_t> weight;  // any bits below infinity are numbers
  for (std::int64_t i = 0; i < 3 * columns * depth; ++i) {
    weight.push_back(static_cast<std::uint16_t>(random.bits() & 0x3fffu));
  }
  LibraryDevice device;
  fake.has_algorithm = false;
  for (const auto& [precision, weight_terms] : {std::pair{Precision::fast, 1},
                                                {Precision::exact, 1},
                                                {Precision::exact, 2},
                                                {Precision::exact, 3}}) {
    for (const bool by_depth : {false, true}) {
      const GemmOperand b{weight.data(), by_depth ? columns : depth, by_depth, weight_terms,
                          columns * depth};
      const auto run = [&, precision = precision](const GemmRows& of) {
        std::vector<float> c(static_cast<std::size_t>(2 * rows * columns), -1.0f);
        gemm(device, precision,
             {.rows = rows,
              .columns = columns,
              .depth = depth,
              .a = of,
              .b = b,
              .c = c.data(),
              .c_stride = columns,
              .initial = initial.data(),
              .plain = c.data() + rows * columns});
        return c;
      };
      const std::vector<float> expected = run({a.data(), depth});
      const TermRows terms = term_rows(device, term_count(precision), rows, depth);
      split_rows(device, a.data(), depth, terms);
      check_same_bits("terms", run({.terms = terms}), expected);
      std::vector<float> summed(expected.begin() + rows * columns, expected.end());
      for (std::size_t i = 0; i < summed.size(); ++i) summed[i] += initial[i];
      check_same_bits("plain", summed, {expected.begin(), expected.begin() + rows * columns});
    }
  }
  const TermRows terms = term_rows(device, 3, rows, depth);
  const Gemm wrong{.rows = rows, .columns = 1, .a = {.terms = terms}, .b = {}};
  CHECK_THROWS_AS(gemm(device, Precision::fast, wrong), Error);
}

TEST_CASE("what cuBLASLt cannot do is left to the own kernel, by the weight alone") {
  const GemmProblem problem(4, 8, 16, false);
  LibraryDevice device;
  std::vector<float> c(1000);
  const Gemm g = problem.product(4, c.data());
  CHECK(library_gemm(device, Precision::exact, g));
  Gemm other = g;
  other.b.term_stride = 12;
  CHECK_FALSE(library_gemm(device, Precision::exact, other));
  other = g;
  other.b.data = problem.weight.data() + 1;
  CHECK_FALSE(library_gemm(device, Precision::exact, other));
  other = g;
  other.b.stride = 19;
  CHECK_FALSE(library_gemm(device, Precision::exact, other));
  other = g;
  other.columns = 7;  // a shape of its own
  fake.has_algorithm = false;
  CHECK_FALSE(library_gemm(device, Precision::exact, other));
}

}  // namespace headspark::test
