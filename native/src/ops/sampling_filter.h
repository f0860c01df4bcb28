// What every implementation of the filters shares, so that they keep the same tokens: in which
// order weights are summed, and how far down the distribution the filters look. Weights are
// e^(tempered logit), 1 for the likeliest token.
#pragma once

#include "headspark/ops/sample_rows.h"

namespace headspark {

/// The sum over a row is that of blocks in order; a block is summed in kSumParts chains, token i in
/// chain i % kSumParts, the last tokens of a block that is no multiple in chain 0.
constexpr int kSumBlock = 512;
constexpr int kSumParts = 8;

/// Where the tokens that a filter keeps are too many to sort, they fall into buckets of 1/64 of a
/// tempered logit (0 for the likeliest, below it for others), and only the bucket is sorted in
/// which a sum of weights crosses what was asked for. The last bucket takes the rest.
constexpr int kBuckets = 2048;
constexpr int bucket_of(float tempered_logit) {
  const float depth = tempered_logit * -64.0f;
  constexpr auto last = static_cast<float>(kBuckets - 1);
  return static_cast<int>(depth < last ? (depth > 0.0f ? depth : 0.0f) : last);
}

/// Filters look at the tokens of at least this weight, and at lower ones where those do not decide.
constexpr float kFirstThreshold = 1e-2f;
constexpr float lower_threshold(float threshold) {
  return threshold > 1e-9f ? threshold * 1e-2f : 0.0f;
}

/// Without any, the draw is by id over the whole vocabulary.
constexpr bool has_filter(const SamplingOptions& options) {
  return options.top_k > 0 || options.top_p < 1.0f || options.min_p > 0.0f;
}

/// True when only top-p can tell whether tokens are enough: their weight must be known.
constexpr bool needs_weight(const SamplingOptions& options) {
  return options.top_k == 0 && options.top_p < 1.0f;
}

/// True when no token below the threshold can pass the filters, or change which do: top-p takes its
/// share of all that top-k leaves, however little min-p then keeps. `count` tokens reach it, with
/// `weight` of the row's `total` (0 unless needs_weight).
constexpr bool enough(const SamplingOptions& options, float threshold, double count, double weight,
                      double total) {
  if (threshold <= 0.0f) return true;
  const bool share_of_top_k = options.top_k > 0 && options.top_p < 1.0f;
  if (!share_of_top_k && options.min_p > 0.0f && threshold <= options.min_p) return true;
  if (options.top_k > 0) return count >= static_cast<double>(options.top_k);
  if (options.top_p >= 1.0f) return false;
  return weight >= static_cast<double>(options.top_p) * total;
}

}  // namespace headspark
