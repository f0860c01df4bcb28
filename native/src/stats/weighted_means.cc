// Blocks of columns whose values stay in L2 while every weighting passes over them; pairs of weight
// 0, which are more than a third of a resample's, are not looked at.
#include "headspark/weighted_means.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "cpu/kernel_table.h"
#include "headspark/thread_pool.h"
#include "ops/check.h"

namespace headspark {
namespace {

/// Sums of one block of columns: 8 KB of L1.
constexpr std::int64_t kBlockColumns = 1024;
/// Values of one block: half of a 1 MB L2, where there are not very many pairs.
constexpr std::int64_t kBlockValues = 128 * 1024;
constexpr std::uint32_t kWeightLimit = 1u << 29;

/// The pairs that one weighting looks at, in order, four at a time.
struct Weighting {
  std::vector<std::int64_t> pairs;
  std::vector<double> weights;  ///< of `pairs`, then zeros up to a multiple of four
  double total = 0.0;
};

Weighting weighting_of(const std::uint32_t* weights, std::int64_t pairs) {
  Weighting weighting;
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    check_argument(weights[pair] < kWeightLimit, "weighted_means", "a weight is 2^29 or more");
    if (weights[pair] == 0) continue;
    weighting.pairs.push_back(pair);
    weighting.weights.push_back(weights[pair]);
  }
  check_argument(!weighting.pairs.empty(), "weighted_means", "a row of weights is all 0");
  weighting.total = std::accumulate(weighting.weights.begin(), weighting.weights.end(), 0.0);
  weighting.weights.resize((weighting.weights.size() + 3) / 4 * 4, 0.0);
  return weighting;
}

/// One block of columns under one weighting after the other.
class BlockMeans {
 public:
  BlockMeans(const KernelTable& kernels, const WeightedMeans& work, std::int64_t columns)
      : kernels_(kernels),
        work_(work),
        zeros_(static_cast<std::size_t>(columns)),
        sums_(static_cast<std::size_t>(columns)) {}

  void write(const Weighting& weighting, std::int64_t begin, std::int64_t count, float* means) {
    std::fill(sums_.begin(), sums_.end(), 0.0);
    for (std::size_t first = 0; first < weighting.weights.size(); first += 4) {
      WeightedRows four{.sums = sums_.data(), .count = count};
      for (std::size_t i = 0; i < 4; ++i) {
        const bool real = first + i < weighting.pairs.size();
        four.rows[i] = real ? work_.values + weighting.pairs[first + i] * work_.columns + begin
                            : zeros_.data();
        four.weights[i] = weighting.weights[first + i];
      }
      kernels_.add_weighted_rows(four);
    }
    for (std::int64_t i = 0; i < count; ++i) {
      means[i] = static_cast<float>(sums_[i] / weighting.total);
    }
  }

 private:
  const KernelTable& kernels_;
  const WeightedMeans& work_;
  std::vector<float> zeros_;
  std::vector<double> sums_;
};

}  // namespace

void weighted_means(const Context& context, const WeightedMeans& work) {
  const char* op = "weighted_means";
  check_argument(work.pairs > 0 && work.columns >= 0 && work.rows >= 0, op,
                 "pairs is not positive, or columns or rows is negative");
  if (work.rows == 0 || work.columns == 0) return;
  check_pointer(work.values, op, "values");
  check_pointer(work.weights, op, "weights");
  check_pointer(work.means, op, "means");
  std::vector<Weighting> weightings;
  for (std::int64_t row = 0; row < work.rows; ++row) {
    weightings.push_back(weighting_of(work.weights + row * work.pairs, work.pairs));
  }
  const KernelTable& kernels = kernel_table(context);
  const std::int64_t most = std::clamp(kBlockValues / work.pairs, std::int64_t{64}, kBlockColumns);
  context.threads->parallel_for(work.columns, most, [&](std::int64_t begin, std::int64_t end) {
    BlockMeans block(kernels, work, most);
    for (std::int64_t row = 0; row < work.rows; ++row) {
      block.write(weightings[static_cast<std::size_t>(row)], begin, end - begin,
                  work.means + row * work.columns + begin);
    }
  });
}

}  // namespace headspark
