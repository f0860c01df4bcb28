// Sums of products that lie in memory, whole or in parts of the depth, and what becomes of them:
// scale, bias and residual. Parts are for decode steps, whose few rows would leave most of a device
// idle: it sums them side by side.
#pragma once

#include "cuda/gemm.h"

namespace headspark::cuda {

struct ProductSums {
  const void* data = nullptr;  ///< [parts, rows, columns]; may be g.plain
  DType type = DType::f32;     ///< of the sums, or bf16 that is copied to g.narrow
  std::int64_t parts = 1;
  std::int64_t part_stride = 0;  ///< elements
  bool biased = false;           ///< the bias was added
};

/// Rows `begin` to `end` of g, of which `sums` has the first; g.plain is not written where the sums
/// lie there. Parts are added in order.
void finish_product(OpDevice& device, const Gemm& g, std::int64_t begin, std::int64_t end,
                    const ProductSums& sums);

/// Parts that a decode step sums the product in: as many as fill a device with tiles of 128 columns
/// and 256 rows, each at least 1024 deep. Of the weight's shape alone, so that a row has the same
/// bits in every step; 1 where g is of no decode step.
std::int64_t parts_of(const Gemm& g);

}  // namespace headspark::cuda
