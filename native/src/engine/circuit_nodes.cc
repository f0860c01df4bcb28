// Of a pruned circuit these are all its nodes; the edges into any other node change nothing.
#include "engine/circuit_nodes.h"

#include <algorithm>

namespace headspark {

CircuitNodes::CircuitNodes(const Graph& graph, std::span<const std::uint8_t> mask,
                           bool heads_together)
    : graph_(graph) {
  const std::int64_t destinations = graph.destinations();
  for (std::int64_t source = 0; source < graph.sources(); ++source) {
    const auto edges = mask.subspan(static_cast<std::size_t>(source * destinations),
                                    static_cast<std::size_t>(destinations));
    read_.push_back(std::ranges::any_of(edges, [](std::uint8_t edge) { return edge != 0; }));
  }
  if (heads_together) read_whole_layers();
  std::vector<std::int64_t> columns;
  for (std::int64_t column = 0; column < destinations; ++column) {
    places_.push_back(std::ssize(columns));
    if (has_column(column)) columns.push_back(column);
  }
  mask_.reserve(static_cast<std::size_t>(graph.sources()) * columns.size());
  for (std::int64_t source = 0; source < graph.sources(); ++source) {
    for (const std::int64_t column : columns) {
      mask_.push_back(mask[static_cast<std::size_t>(source * destinations + column)]);
    }
  }
}

void CircuitNodes::read_whole_layers() {
  for (std::int64_t layer = 0; layer < graph_.layers; ++layer) {
    if (heads(layer) == 0) continue;
    std::fill_n(read_.begin() + graph_.head_source(layer, 0), graph_.heads, true);
  }
}

std::int64_t CircuitNodes::heads(std::int64_t layer) const {
  const auto begin = read_.begin() + graph_.head_source(layer, 0);
  return std::count(begin, begin + graph_.heads, true);
}

/// k and v of a layer have the same readers.
bool CircuitNodes::has_kv(std::int64_t layer, std::int64_t index) const {
  const std::int64_t readers = graph_.heads / graph_.kv_columns();
  for (std::int64_t reader = index * readers; reader < (index + 1) * readers; ++reader) {
    if (head(layer, reader)) return true;
  }
  return false;
}

bool CircuitNodes::has_column(std::int64_t column) const {
  if (column == graph_.logits_column()) return true;
  const std::int64_t layer = column / graph_.layer_columns();
  if (column == graph_.mlp_column(layer)) return mlp(layer);
  const std::int64_t index = column - graph_.q_column(layer, 0);
  return index < graph_.heads ? head(layer, index)
                              : has_kv(layer, (index - graph_.heads) % graph_.kv_columns());
}

}  // namespace headspark
