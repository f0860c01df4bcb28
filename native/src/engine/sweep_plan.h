// Which layers of which variants a sweep computes. Variants form a trie over the layers: below its
// first gated layer a variant is the unablated run, and variants with the same gates so far are one
// row. Pure bookkeeping, no tensors.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/sweep.h"

namespace headspark {

/// Rows that run the layers [first_layer, end_layer) side by side.
struct SweepStep {
  std::int64_t first_layer = 0;
  std::int64_t end_layer = 0;
  /// Per row: its row of the step before, or -1 for the unablated run's residual stream at
  /// first_layer. Rows with a parent come first.
  std::vector<std::int32_t> parents;
  /// Per row: one of the variants that it stands for.
  std::vector<std::size_t> variants;
};

/// Variants that run as one batch.
struct SweepBatch {
  std::vector<std::size_t> variants;
  std::vector<SweepStep> steps;
  std::vector<std::int32_t> rows;  ///< per variant: its row of the last step, or -1: no gates
};

struct SweepPlan {
  std::vector<SweepBatch> batches;
  std::int64_t layer_rows = 0;  ///< layers computed, summed over rows
};

/// Batches of at most `rows` rows (at least 1). Every variant stands in one batch.
SweepPlan plan_sweep(std::span<const AblationVariant> variants, std::int64_t layers,
                     std::size_t rows);

}  // namespace headspark
