// What the engine is asked about: a clean and a corrupted prompt of equal length, and the tokens
// whose logits the metric reads.
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/ops/metric.h"

namespace headspark {

struct Pair {
  std::vector<std::int32_t> clean;
  std::vector<std::int32_t> corrupted;  ///< as long as clean
  std::vector<std::int32_t> correct;    ///< logit-diff, prob-diff: token set
  std::vector<std::int32_t> incorrect;
  /// nll: the gold continuation. The metric is the mean of -log p over its tokens, in nats; all but
  /// its last token are fed after both prompts. For the other metrics: must be empty.
  std::vector<std::int32_t> continuation;
};

/// Pairs [begin, end) of those that are given; end -1: to the last.
struct PairRange {
  std::int64_t begin = 0;
  std::int64_t end = -1;
};

/// kl and nll grow as the model gets worse, so their loss is the metric itself; the loss of
/// logit-diff and prob-diff is minus the metric. A positive score means: corrupting hurts.
inline float loss_sign(Metric metric) {
  return metric == Metric::kl || metric == Metric::nll ? 1.0f : -1.0f;
}

}  // namespace headspark
