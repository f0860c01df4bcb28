// Metrics on logits rows and their gradients: logit-diff, prob-diff, KL(clean || current), nll.
#pragma once

#include <cstdint>

#include "headspark/context.h"

namespace headspark {

enum class Metric { logit_diff, prob_diff, kl, nll };

struct MetricForward {
  Metric metric = Metric::logit_diff;
  std::int64_t rows = 0;
  std::int64_t vocab = 0;
  const float* logits = nullptr;  ///< [rows, vocab]
  /// Token sets in compressed-row form: row r's correct tokens are correct[correct_begin[r] ..
  /// correct_begin[r + 1]). logit-diff: mean over correct minus mean over incorrect; prob-diff:
  /// probability mass of correct minus that of incorrect; nll: correct has one token per row.
  const std::int32_t* correct = nullptr;
  const std::int32_t* correct_begin = nullptr;  ///< [rows + 1]
  const std::int32_t* incorrect = nullptr;
  const std::int32_t* incorrect_begin = nullptr;  ///< [rows + 1]
  const float* clean_logits = nullptr;            ///< [clean_rows, vocab], for kl
  /// [rows] the clean row that each row is compared with; null: row r with clean row r.
  const std::int32_t* clean_row = nullptr;
  std::int64_t clean_rows = 0;  ///< read with clean_row only
  float* value = nullptr;       ///< [rows]
};

struct MetricBackward {
  MetricForward forward;           ///< value is not used
  const float* d_value = nullptr;  ///< [rows]
  float* d_logits = nullptr;       ///< [rows, vocab], overwritten
};

void metric_forward(const Context& context, const MetricForward& params);
void metric_backward(const Context& context, const MetricBackward& params);

}  // namespace headspark
