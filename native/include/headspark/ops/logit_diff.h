// The logit-diff of hidden rows without the other logits: mean logit of the correct tokens minus
// that of the incorrect ones, of the token sets' rows of the unembedding alone.
#pragma once

#include <cstdint>

#include "headspark/context.h"
#include "headspark/weight.h"

namespace headspark {

struct LogitDiffForward {
  const LinearWeight* unembedding = nullptr;  ///< [vocab, hidden], without a low-rank term
  std::int64_t rows = 0;
  const float* x = nullptr;  ///< [rows, hidden], what the unembedding reads
  /// Token sets in compressed-row form, as in MetricForward; an empty set counts as mean 0.
  const std::int32_t* correct = nullptr;
  const std::int32_t* correct_begin = nullptr;  ///< [rows + 1]
  const std::int32_t* incorrect = nullptr;
  const std::int32_t* incorrect_begin = nullptr;  ///< [rows + 1]
  float* value = nullptr;                         ///< [rows]
};

struct LogitDiffBackward {
  LogitDiffForward forward;        ///< x and value are not used
  const float* d_value = nullptr;  ///< [rows]
  float* d_x = nullptr;            ///< [rows, hidden], overwritten
};

void logit_diff_forward(const Context& context, const LogitDiffForward& params);
void logit_diff_backward(const Context& context, const LogitDiffBackward& params);

}  // namespace headspark
