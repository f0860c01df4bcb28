// From selected edges to the heads of a circuit: pruning, which heads it holds and how important
// each is.
#pragma once

#include <cstdint>
#include <vector>

#include "stats/edge_index.h"
#include "stats/select_edges.h"

namespace headspark {

class CircuitHeads {
 public:
  explicit CircuitHeads(const EdgeIndex& index);

  /// Removes, until nothing changes, nodes without an incoming or an outgoing edge (`input` needs
  /// no incoming one) and the edges of such nodes.
  void prune(std::vector<SelectedEdge>& edges);

  /// mask [layers * heads]: 1 where any edge of the head is there, an outgoing one or one into an
  /// input that no other head reads.
  void write_mask(const std::vector<SelectedEdge>& edges, std::uint8_t* mask);

  /// importance [layers * heads]: sums of |score| over outgoing edges, normalised to 1 over all
  /// heads (all 0 where there is none). scores: [edges of the graph].
  void write_importance(const std::vector<SelectedEdge>& edges, const float* scores,
                        double* importance);

 private:
  const EdgeIndex& index_;
  std::vector<std::uint8_t> nodes_;
  std::vector<std::uint8_t> columns_;
  std::vector<double> outgoing_;
};

}  // namespace headspark
