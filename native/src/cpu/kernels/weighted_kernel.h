// Weighted sums of fp32 rows in double precision. Left to the compiler, which makes vectors of it
// at every level: products of an fp32 and a whole number below 2^29 are exact, the sums run in
// order.
#pragma once

#include "cpu/kernel_table.h"

namespace headspark {

template <typename S>
struct WeightedKernel {
  static void add_weighted_rows(const WeightedRows& r) {
    const float* __restrict a = r.rows[0];
    const float* __restrict b = r.rows[1];
    const float* __restrict c = r.rows[2];
    const float* __restrict d = r.rows[3];
    double* __restrict sums = r.sums;
    const double wa = r.weights[0];
    const double wb = r.weights[1];
    const double wc = r.weights[2];
    const double wd = r.weights[3];
    for (std::int64_t i = 0; i < r.count; ++i) {
      sums[i] = sums[i] + wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
    }
  }
};

}  // namespace headspark
