// One head's attention map on one prompt as a few numbers: where its queries look in the mean.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/head_properties.h"
#include "headspark/ops/attention.h"

namespace headspark {

/// What a prompt's tokens say about every map on it: which queries count, and which earlier tokens
/// are copies or of a class.
class PromptTokens {
 public:
  PromptTokens(const HeadPrompt& prompt, std::int32_t classes, HeadQueries queries);

  std::int64_t length() const { return length_; }
  std::int64_t columns() const { return HeadColumn::classes + std::ssize(members_); }
  /// Positions whose attention counts, ascending.
  const std::vector<std::int64_t>& queries() const { return queries_; }

  /// Fills the attention columns of `values` [columns] from a map [length, length] of a layer whose
  /// queries see what `shape` says; the columns of writes are left alone.
  void summarize(const float* map, const AttentionShape& shape, float* values) const;
  /// The same for uniform attention to everything before.
  void summarize_uniform(float* values) const;

 private:
  template <typename Probability>
  void fill(const Probability& probability, const AttentionShape& shape, float* values) const;

  std::int64_t length_ = 0;
  std::vector<std::int64_t> queries_;
  std::vector<std::vector<std::int64_t>> copies_;   ///< per query position: earlier equal tokens
  std::vector<std::vector<std::int64_t>> members_;  ///< per class: its tokens, ascending
};

}  // namespace headspark
