// Factors lie on the device as bf16 numbers, each value in one, or in the three that hold all of
// its bits: the sets. A is [ranks, in] and B [out, ranks], where the ranks are [sets, rank] and
// zeros up to a whole tile. Then rows times A is one product, whose sets are added, and what comes
// out, once for every set, times B is another.
#include "cuda/low_rank.h"
#include "cuda/product_tiles.h"
#include "cuda/term_elements.h"
#include "cuda/term_gemm.h"

namespace headspark::cuda {
namespace {

static_assert(kDeviceTileDepth % kTileDepth == 0);  // head_products goes by whole tiles

constexpr int kMostSets = 3;

struct Factors {
  float scale;
  int sets;
  std::int64_t rank;   // of a set
  std::int64_t ranks;  // of all, and zeros
  const std::uint16_t* a;
  const std::uint16_t* b;
};

/// A value as the sum of `sets` bf16 numbers, each next to what those before leave.
void split_value(float value, int sets, std::uint16_t (&parts)[kMostSets]) {
  for (int set = 0; set < sets; ++set) {
    parts[set] = f32_to_bf16(value);
    value -= bf16_to_f32(parts[set]);
  }
}

Factors factors_of(OpDevice& device, Precision precision, const LowRank& low) {
  const int sets = factor_terms(low, precision);
  Factors factors{low.scale, sets,   device_rank(low.rank), device_ranks(low, precision),
                  nullptr,   nullptr};
  const auto made = [&](const LowRankFactor& factor, std::int64_t rows, std::int64_t cols,
                        const auto& place) {
    const auto fill = [&](std::uint16_t* to) {
      for (std::int64_t row = 0; row < factor.view.rows; ++row) {
        for (std::int64_t col = 0; col < factor.view.cols; ++col) {
          std::uint16_t parts[kMostSets];
          split_value(factor.at(row, col), sets, parts);
          for (int set = 0; set < sets; ++set) to[place(set, row, col)] = parts[set];
        }
      }
    };
    const DeviceMatrix matrix = device.bf16_table(factor.view, {sets, rows, cols}, fill);
    return static_cast<const std::uint16_t*>(matrix.data);
  };
  const std::int64_t in = low.a.view.cols;
  const std::int64_t ranks = factors.ranks;
  factors.a = made(low.a, ranks, in, [&](int set, std::int64_t rank, std::int64_t i) {
    return (set * factors.rank + rank) * in + i;
  });
  factors.b =
      made(low.b, low.b.view.rows, ranks, [&](int set, std::int64_t out, std::int64_t rank) {
        return out * ranks + set * factors.rank + rank;
      });
  return factors;
}

struct JoinSets {
  const float* sums;  // [rows, ranks]
  std::int64_t rank;  // of a set
  float scale;
  TermRows to;  // [rows, ranks]
};

// The sum over sets, the smallest first, scaled, once for every set.
template <int Terms, int Sets>
HEADSPARK_KERNEL(kElementThreads)
join_sets_kernel(JoinSets p) {
  const TermPlace at = term_place(p.to);
  if (at.row >= p.to.rows) return;
  Eight total{};
  if (at.k < Sets * p.rank) {
    const float* const sums = p.sums + at.row * p.to.stride + at.k % p.rank;
    HEADSPARK_UNROLL
    for (int set = Sets - 1; set >= 0; --set) {
      const Eight part = read_row_eight(sums + set * p.rank, 0, 8, true);
      HEADSPARK_UNROLL
      for (int j = 0; j < 8; ++j) total.v[j] += part.v[j];
    }
    HEADSPARK_UNROLL
    for (int j = 0; j < 8; ++j) total.v[j] *= p.scale;
  }
  store_eight<Terms>(p.to, at, total);
}

/// Rows for the second product, from the sums of the first.
TermRows join_sets(OpDevice& device, Precision precision, const Factors& factors, std::int64_t rows,
                   const float* sums) {
  const TermRows to =
      term_rows(device, term_count(precision), rows, factors.ranks, 1, ScratchSlot::low_rank_terms);
  launch(device.stream(), term_shape(to),
         precision == Precision::fast ? &join_sets_kernel<1, 1>
         : factors.sets == 1          ? &join_sets_kernel<3, 1>
                                      : &join_sets_kernel<3, kMostSets>,
         JoinSets{sums, factors.rank, factors.scale, to});
  return to;
}

}  // namespace

void upload_low_rank(OpDevice& device, Precision precision, const LinearWeight& weight) {
  if (const LowRank* low = low_rank_of(weight)) factors_of(device, precision, *low);
}

void add_low_rank(OpDevice& device, Precision precision, const LinearWeight& weight,
                  const LinearRange& range, const LowRankRows& p) {
  if (p.rows == 0) return;
  const Factors factors = factors_of(device, precision, *weight.low_rank);
  const std::int64_t ranks = factors.ranks;
  const GemmOperand a{factors.a + range.in_begin, weight.in(), p.backward};
  const GemmOperand b{factors.b + range.out_begin * ranks, ranks, p.backward};
  float* const sums = device.scratch_floats(ScratchSlot::low_rank, p.rows * ranks);
  gemm(device, precision,
       {.rows = p.rows,
        .columns = ranks,
        .depth = p.backward ? range.out() : range.in(),
        .a = p.a,
        .b = p.backward ? b : a,
        .c = sums,
        .c_stride = ranks,
        .decoding = p.decoding});
  const Gemm up{.rows = p.rows,
                .columns = p.backward ? range.in() : range.out(),
                .depth = ranks,
                .a = {.terms = join_sets(device, precision, factors, p.rows, sums)},
                .b = p.backward ? a : b,
                .c = p.c,
                .c_stride = p.c_stride,
                .initial = p.c};
  // So shallow that the sums are what takes time: the own kernel adds them where they lie.
  if (suits_terms(up.b)) return term_gemm(device, precision, up);
  gemm(device, precision, up);
}

HeadLowRank head_low_rank(OpDevice& device, Precision precision, const LinearWeight& weight,
                          const ProjectionRows& p) {
  const Factors factors = factors_of(device, precision, *weight.low_rank);
  const std::int64_t tokens = p.d.rows;
  const std::int64_t width = p.heads * factors.ranks;
  float* const sums = device.scratch_floats(ScratchSlot::low_rank, tokens * width);
  for (std::int64_t head = 0; head < p.heads; ++head) {
    GemmRows d{.terms = p.d};
    d.terms.data += head * p.head_dim;
    d.terms.depth = p.head_dim;
    const std::uint16_t* const b = factors.b + head / p.share * p.head_dim * factors.ranks;
    term_gemm(device, precision,
              {.rows = tokens,
               .columns = factors.ranks,
               .depth = p.head_dim,
               .a = d,
               .b = {b, factors.ranks, true},
               .c = sums + head * factors.ranks,
               .c_stride = width});
  }
  TermRows rows = join_sets(device, precision, factors, tokens * p.heads, sums);
  rows.rows = tokens;
  rows.depth = rows.stride = width;
  return {rows, factors.a, factors.ranks};
}

}  // namespace headspark::cuda
