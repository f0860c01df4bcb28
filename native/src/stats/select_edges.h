// Which edges of a table of scores make a circuit, before pruning.
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/resampled_heads.h"
#include "stats/edge_index.h"

namespace headspark {

/// An edge with its ends spelled out.
struct SelectedEdge {
  std::int32_t edge;  ///< compact index
  std::int32_t source;
  std::int32_t column;
};

/// Selects edges of one table of scores after the other, by one rule.
class EdgeSelector {
 public:
  EdgeSelector(const EdgeIndex& index, const CircuitSelection& selection);

  /// Ascending by edge, until the next call; the caller may shorten it. scores: [edges]. Throws
  /// TENSOR_VALUE for one that is not finite.
  std::vector<SelectedEdge>& select(const float* scores);

 private:
  /// A higher key is a higher rank.
  std::uint32_t key(std::int32_t edge) const;
  void check_finite() const;
  void keep_highest();
  std::uint32_t lowest_of_bin(std::size_t n);
  void keep_greedy();
  bool reaches_tau(std::int32_t edge) const;
  template <typename Keep>
  void keep_where(const Keep& keep);

  const EdgeIndex& index_;
  CircuitSelection selection_;
  const float* scores_ = nullptr;
  std::vector<std::uint32_t> histograms_;
  std::vector<std::uint32_t> candidates_;
  std::vector<std::int32_t> heap_;
  std::vector<SelectedEdge> selected_;
};

}  // namespace headspark
