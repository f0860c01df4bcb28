// The own product of rows of terms: what lies at the edges of its tiles, and that neither the
// number of rows nor the tiles change a bit. The op suite tests it in layers.
#include "cuda/term_gemm.h"

#include <doctest/doctest.h>

#include "cuda_emulation/gemm_problem.h"

namespace headspark::test {
namespace {

using namespace cuda;

std::vector<float> run(const GemmProblem& problem, Precision precision, std::int64_t count,
                       GemmTiles tiles) {
  GemmDevice device;
  std::vector<float> c = problem.room(count);
  term_gemm(device, precision, problem.with_all(count, c.data()), tiles);
  return c;
}

struct Extent {
  std::int64_t rows, columns, depth;
};

}  // namespace

TEST_CASE("products of terms at the edges of tiles") {
  // Fewer depths than stages, tails of a piece, of a tile and of a block.
  const Extent extents[] = {{1, 1, 1},   {3, 7, 8},     {64, 64, 32},    {65, 129, 31},
                            {64, 9, 96}, {130, 66, 40}, {128, 128, 160}, {70, 200, 257}};
  for (const Extent& extent : extents) {
    for (const bool by_depth : {false, true}) {
      for (const auto precision : {Precision::exact, Precision::fast}) {
        CAPTURE(extent.rows);
        CAPTURE(extent.columns);
        CAPTURE(extent.depth);
        CAPTURE(by_depth);
        const GemmProblem problem(extent.rows, extent.columns, extent.depth, by_depth);
        for (const auto tiles : {GemmTiles::large, GemmTiles::small}) {
          const auto c = run(problem, precision, problem.rows, tiles);
          CHECK(problem.largest_error(c) <= (precision == Precision::exact ? 8e-6 : 8e-2));
        }
      }
    }
  }
}

TEST_CASE("products of terms with weights of several terms") {
  const Extent extents[] = {{1, 1, 1},   {3, 7, 8},     {65, 129, 31},
                            {64, 9, 96}, {130, 66, 40}, {70, 130, 257}};
  for (const Extent& extent : extents) {
    for (const bool by_depth : {false, true}) {
      for (const int terms : {2, 3}) {
        CAPTURE(extent.rows);
        CAPTURE(extent.columns);
        CAPTURE(extent.depth);
        CAPTURE(by_depth);
        CAPTURE(terms);
        const GemmProblem problem(extent.rows, extent.columns, extent.depth, by_depth, terms);
        const auto c = run(problem, Precision::exact, problem.rows, GemmTiles::fitting);
        CHECK(problem.largest_error(c) <= 8e-6);
        // The kernel of any weight has the same bits; so have fewer rows.
        GemmDevice device;
        Gemm unaligned = problem.with_all(problem.rows, nullptr);
        std::vector<std::uint16_t> moved(problem.weight.begin(), problem.weight.end());
        moved.insert(moved.begin(), 1, 0x7fc0);
        unaligned.b.data = moved.data() + 1;
        std::vector<float> other = problem.room(problem.rows);
        unaligned.c = other.data();
        CHECK_FALSE(suits_terms(unaligned.b));
        gemm(device, Precision::exact, unaligned);
        CHECK(other == c);
        const auto first = run(problem, Precision::exact, 1, GemmTiles::fitting);
        CHECK(std::equal(first.begin(), first.end(), c.begin()));
      }
    }
  }
}

TEST_CASE("products of terms: the same bits for any rows and tiles") {
  for (const bool by_depth : {false, true}) {
    for (const auto precision : {Precision::exact, Precision::fast}) {
      const GemmProblem problem(200, 72, 104, by_depth);
      const auto all = run(problem, precision, problem.rows, GemmTiles::large);
      CHECK(all == run(problem, precision, problem.rows, GemmTiles::fitting));
      for (const std::int64_t rows : {1, 64, 65, 129}) {
        const auto some = run(problem, precision, rows, GemmTiles::small);
        CHECK(std::equal(some.begin(), some.end(), all.begin()));
      }
    }
  }
}

TEST_CASE("products of terms, narrow and plain") {
  const GemmProblem problem(66, 24, 40, false);
  GemmDevice device;
  std::vector<float> c(static_cast<std::size_t>(problem.rows * problem.columns));
  term_gemm(device, Precision::fast, problem.product(problem.rows, c.data()));

  std::vector<std::uint16_t> narrow(c.size());
  Gemm rounded = problem.product(problem.rows, nullptr);
  rounded.narrow = narrow.data();
  term_gemm(device, Precision::fast, rounded);

  std::vector<float> plain(c.size());
  std::vector<float> sum(c.size());
  Gemm both = problem.product(problem.rows, sum.data());
  both.initial = problem.initial.data();
  both.plain = plain.data();
  term_gemm(device, Precision::fast, both);
  for (std::size_t i = 0; i < c.size(); ++i) {
    CHECK(narrow[i] == f32_to_bf16(c[i]));
    CHECK(plain[i] == c[i]);
    CHECK(sum[i] == c[i] + problem.initial[i]);
  }
}

}  // namespace headspark::test
