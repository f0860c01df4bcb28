// Sizes and reachability of the computational graph.
#include "headspark/graph.h"

namespace headspark {

std::int64_t Graph::sources_of_column(std::int64_t column) const {
  const std::int64_t layer = column / layer_columns();
  if (layer == layers) return sources();
  return column == mlp_column(layer) ? sources_of_mlp(layer) : sources_of_attention(layer);
}

std::int64_t Graph::edges() const {
  std::int64_t count = sources();
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    count += (layer_columns() - 1) * sources_of_attention(layer) + sources_of_mlp(layer);
  }
  return count;
}

Graph make_graph(const ModelConfig& config, KvEdges kv_edges) {
  Graph graph;
  graph.layers = config.layers;
  graph.heads = config.heads;
  graph.kv_heads = config.kv_heads;
  graph.parallel_block = config.parallel_block;
  graph.kv_edges = kv_edges;
  return graph;
}

}  // namespace headspark
