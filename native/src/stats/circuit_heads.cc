// Pruning works on the list of edges: its cost follows the circuit, not the graph.
#include "stats/circuit_heads.h"

#include <algorithm>
#include <cmath>

namespace headspark {
CircuitHeads::CircuitHeads(const EdgeIndex& index)
    : index_(index),
      nodes_(at(index.sources())),
      columns_(at(index.columns())),
      outgoing_(at(index.sources())) {}

void CircuitHeads::prune(std::vector<SelectedEdge>& edges) {
  std::size_t removed = 0;
  do {
    // Nodes with an outgoing edge, then those of them that are fed.
    std::fill(nodes_.begin(), nodes_.end(), std::uint8_t{0});
    std::fill(columns_.begin(), columns_.end(), std::uint8_t{0});
    for (const SelectedEdge& edge : edges) {
      nodes_[at(edge.source)] = 1;
      columns_[at(edge.column)] = 1;
    }
    for (std::int32_t source = 1; source < index_.sources(); ++source) {
      std::uint8_t fed = 0;
      for (const std::int32_t column : index_.read_columns(source)) {
        if (column >= 0) fed |= columns_[at(column)];
      }
      nodes_[at(source)] &= fed;
    }
    // Columns that such a node reads.
    std::fill(columns_.begin(), columns_.end(), std::uint8_t{0});
    columns_.back() = 1;
    for (std::int32_t source = 1; source < index_.sources(); ++source) {
      if (nodes_[at(source)] == 0) continue;
      for (const std::int32_t column : index_.read_columns(source)) {
        if (column >= 0) columns_[at(column)] = 1;
      }
    }
    removed = std::erase_if(edges, [&](const SelectedEdge& edge) {
      return nodes_[at(edge.source)] == 0 || columns_[at(edge.column)] == 0;
    });
  } while (removed > 0);
}

void CircuitHeads::write_mask(const std::vector<SelectedEdge>& edges, std::uint8_t* mask) {
  std::fill(nodes_.begin(), nodes_.end(), std::uint8_t{0});
  for (const SelectedEdge& edge : edges) {
    nodes_[at(edge.source)] = 1;
    const std::int32_t reader = index_.only_reader(edge.column);
    if (reader >= 0) nodes_[at(reader)] = 1;
  }
  const Graph& graph = index_.graph();
  for (std::int64_t layer = 0; layer < graph.layers; ++layer) {
    for (std::int64_t head = 0; head < graph.heads; ++head) {
      *mask++ = nodes_[static_cast<std::size_t>(graph.head_source(layer, head))];
    }
  }
}

void CircuitHeads::write_importance(const std::vector<SelectedEdge>& edges, const float* scores,
                                    double* importance) {
  std::fill(outgoing_.begin(), outgoing_.end(), 0.0);
  for (const SelectedEdge& edge : edges) {
    outgoing_[at(edge.source)] += std::fabs(static_cast<double>(scores[edge.edge]));
  }
  const Graph& graph = index_.graph();
  double* end = importance;
  double total = 0.0;
  for (std::int64_t layer = 0; layer < graph.layers; ++layer) {
    for (std::int64_t head = 0; head < graph.heads; ++head) {
      *end = outgoing_[static_cast<std::size_t>(graph.head_source(layer, head))];
      total += *end++;
    }
  }
  if (!(total > 0.0)) return;
  for (; importance < end; ++importance) *importance /= total;
}

}  // namespace headspark
