// What belongs to one row of a metric: the correct or incorrect tokens and what is read from logits
// at them (an empty set counts as mean or mass 0), and the clean row.
#pragma once

#include <cmath>
#include <cstdint>

#include "headspark/ops/metric.h"

namespace headspark {

struct TokenSet {
  const std::int32_t* begin = nullptr;
  std::int64_t size = 0;

  TokenSet(const std::int32_t* tokens, const std::int32_t* offsets, std::int64_t row) {
    if (offsets == nullptr) return;
    begin = tokens + offsets[row];
    size = offsets[row + 1] - offsets[row];
  }

  double divisor() const { return size > 0 ? static_cast<double>(size) : 1.0; }

  double mean_logit(const float* x) const {
    double sum = 0.0;
    for (std::int64_t i = 0; i < size; ++i) sum += x[begin[i]];
    return sum / divisor();
  }

  /// Probability of the set; `lse` is the log-sum-exp of the row.
  double mass(const float* x, double lse) const {
    double sum = 0.0;
    for (std::int64_t i = 0; i < size; ++i) sum += std::exp(x[begin[i]] - lse);
    return sum;
  }
};

inline std::int64_t clean_row_of(const MetricForward& p, std::int64_t row) {
  return p.clean_row != nullptr ? p.clean_row[row] : row;
}

}  // namespace headspark
