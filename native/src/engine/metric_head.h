// Final norm, unembedding and metric at the supervised positions only, forward and backward, in
// chunks of logits rows, so that a [tokens, vocab] matrix never exists. The logit-diff reads its
// own tokens' rows of the unembedding alone, unless the most likely token is asked for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/trace.h"
#include "headspark/pair.h"

namespace headspark {

/// Which tokens of a batch are read, and with which targets; logits rows of a batch row are
/// consecutive.
struct SupervisedRows {
  std::vector<std::int32_t> token;         ///< batch token of each logits row
  std::vector<std::int32_t> row_begin{0};  ///< [rows + 1] logits rows of each batch row
  std::vector<std::int32_t> correct;
  std::vector<std::int32_t> correct_begin{0};
  std::vector<std::int32_t> incorrect;
  std::vector<std::int32_t> incorrect_begin{0};
  std::vector<std::int32_t> clean_row;  ///< row of clean_logits to compare with, for kl

  std::int32_t logits_rows() const { return static_cast<std::int32_t>(token.size()); }
  std::int32_t rows() const { return static_cast<std::int32_t>(row_begin.size()) - 1; }

  /// Supervises the end of one more batch row, whose last token is batch token `last_token`:
  /// the last position, or for nll the |continuation| last ones.
  void add(const Pair& pair, Metric metric, std::int32_t last_token, std::int32_t clean = 0);

  /// Supervised tokens at the end of each batch row, as WantedTokens takes them.
  std::vector<std::int32_t> counts() const;
  /// From now on the rows are read from packed tokens (WantedTokens of counts()).
  void pack();
};

/// Own tokens that the metric needs at the end of a row.
std::int32_t supervised_length(const Pair& pair, Metric metric);

struct MetricRun {
  Metric metric = Metric::logit_diff;
  const SupervisedRows* rows = nullptr;
  const float* final_residual = nullptr;  ///< [tokens, hidden]
  const float* clean_logits = nullptr;    ///< [.., vocab] for kl, see SupervisedRows::clean_row
  /// Weight of each batch row's value in the scalar whose gradient is wanted; empty: no gradient.
  std::span<const float> d_value;
  float* d_final_residual = nullptr;  ///< [tokens, hidden], added to
  bool correct = false;               ///< whether MetricValues::correct is wanted
};

struct MetricValues {
  std::vector<float> value;  ///< [rows], mean over the row's supervised positions
  /// [rows] every supervised argmax is a correct token; empty where it was not asked for.
  std::vector<std::uint8_t> correct;
};

MetricValues run_metric(const Engine& engine, const MetricRun& run);

}  // namespace headspark
