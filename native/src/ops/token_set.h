// What belongs to one row of a metric: the correct or incorrect tokens and what is read from logits
// at them (an empty set counts as mean or mass 0), and the clean row.
#pragma once

#include <cmath>
#include <cstdint>

#include "headspark/ops/metric.h"
#include "ops/check.h"

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

/// The token sets of all rows, to be checked.
struct TokenSetRows {
  const std::int32_t* tokens = nullptr;
  const std::int32_t* begin = nullptr;  ///< [rows + 1]; null: nothing to check
  std::int64_t rows = 0;
  std::int64_t vocab = 0;
};

inline void check_token_sets(const TokenSetRows& sets, const char* op, const char* problem) {
  if (sets.begin == nullptr) return;
  check_argument(sets.begin[0] >= 0, op, problem);
  for (std::int64_t r = 0; r < sets.rows; ++r) {
    check_argument(sets.begin[r] <= sets.begin[r + 1], op, problem);
  }
  const std::int32_t end = sets.begin[sets.rows];
  check_argument(sets.tokens != nullptr || sets.begin[0] == end, op, problem);
  for (std::int32_t i = sets.begin[0]; i < end; ++i) {
    check_argument(sets.tokens[i] >= 0 && sets.tokens[i] < sets.vocab, op, problem);
  }
}

inline std::int64_t clean_row_of(const MetricForward& p, std::int64_t row) {
  return p.clean_row != nullptr ? p.clean_row[row] : row;
}

}  // namespace headspark
