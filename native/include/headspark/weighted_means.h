// Means over pairs under many weightings at once: the inner loop of a bootstrap over pairs.
#pragma once

#include <cstdint>

#include "headspark/context.h"

namespace headspark {

/// means[r, c] = sum over p of weights[r, p] values[p, c] / sum over p of weights[r, p].
struct WeightedMeans {
  const float* values = nullptr;  ///< [pairs, columns], finite
  std::int64_t pairs = 0;
  std::int64_t columns = 0;
  const std::uint32_t* weights = nullptr;  ///< [rows, pairs], below 2^29, no row all 0
  std::int64_t rows = 0;
  float* means = nullptr;  ///< [rows, columns]
};

/// Sums in double precision, in the order of the pairs. A product of an fp32 and a whole number
/// below 2^29 is exact in it, so that every level gives the same bits, and the same ones as
/// weightedMeans of lib/diff/weighted-means.ts. Throws Error(INVALID_ARGUMENT).
void weighted_means(const Context& context, const WeightedMeans& work);

}  // namespace headspark
