// Scores of a job: per-pair matrices go in, in pair order; their mean and the per-pair edge scores
// come out. Sums are in double, so a batch's cut cannot change a bit.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/pair_block.h"
#include "headspark/attribution.h"

namespace headspark {

class ScoreBook {
 public:
  ScoreBook(const Graph& graph, std::size_t pairs, bool keep_pair_scores);

  /// `scores` [block pairs, sources, destinations]; entries that are no edges are ignored.
  void add(const PairBlock& block, const std::vector<float>& scores);

  AttributionResult finish() &&;

 private:
  AttributionResult result_;
  bool keep_pair_scores_;
  std::vector<double> totals_;            ///< [edges]
  std::vector<std::int64_t> edge_index_;  ///< dense index of each edge, row-major
};

}  // namespace headspark
