// The next token of each row of logits. The filters and their order are those of Hugging Face
// transformers (generation/logits_process.py): repetition penalty, temperature, top-k, top-p,
// min-p; then one draw by the inverse of the cumulative distribution.
#pragma once

#include <cstdint>

#include "headspark/context.h"

namespace headspark {

/// How the next token is chosen from the logits; filters in this order, as Hugging Face
/// transformers applies them. Defaults leave the distribution alone.
struct SamplingOptions {
  float repetition_penalty = 1.0f;  ///< of tokens in the prompt or generated: > 0; 1: none
  float temperature = 0.0f;         ///< 0: the largest logit (ties: the smaller id)
  std::int32_t top_k = 0;           ///< 0: all
  float top_p = 1.0f;               ///< in (0, 1]
  float min_p = 0.0f;               ///< in [0, 1): of the most likely token's probability
};

/// INVALID_ARGUMENT naming the option that is out of range.
void check_sampling(const SamplingOptions& options);

/// The margin of a token that was not chosen greedily.
constexpr float kNoMargin = -1.0f;
/// The log probability of a token that was not asked for its own.
constexpr float kNoLogProb = 1.0f;

struct DrawnToken {
  std::int32_t token = 0;
  /// At temperature 0 the largest logit (after the penalty) minus the second largest, >= 0.
  float margin = kNoMargin;
  /// Natural logarithm of its probability at temperature 1 after the penalty and before top_k,
  /// top_p and min_p, <= 0.
  float log_prob = kNoLogProb;
};

/// What one row's token depends on besides its logits: draw number `index` under `seed`.
struct RowDraw {
  SamplingOptions options;
  std::int32_t seen_count = 0;  ///< 0 without a repetition penalty
  std::int64_t seen_begin = 0;  ///< the row's first token in SampleRows::seen
  std::uint64_t seed = 0;
  std::uint64_t index = 0;
  bool log_prob = false;  ///< whether the token's is asked for
};

/// drawn[r] depends on logits[r] and draws[r] alone, to the bit. NaN counts as the smallest logit.
struct SampleRows {
  std::int64_t rows = 0;
  std::int64_t vocab = 0;
  float* logits = nullptr;             ///< [rows, vocab]; changed
  std::int64_t stride = 0;             ///< floats from one row to the next: a multiple of 4
  const RowDraw* draws = nullptr;      ///< [rows], options within their ranges
  const std::int32_t* seen = nullptr;  ///< below vocab, none twice in a row; null: no row has any
  DrawnToken* drawn = nullptr;         ///< [rows]
};
void sample_rows(const Context& context, const SampleRows& params);

/// The least stride for rows of `vocab` logits.
constexpr std::int64_t logits_stride(std::int64_t vocab) {
  return (vocab + 3) / 4 * 4;
}

}  // namespace headspark
