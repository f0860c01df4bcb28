// The tables of EdgeIndex, from a graph's sizes.
#include "stats/edge_index.h"

#include <algorithm>

namespace headspark {
namespace {

constexpr std::int32_t kUnread = -2;
constexpr std::int32_t kShared = -1;

}  // namespace

EdgeIndex::EdgeIndex(const Graph& graph)
    : graph_(graph),
      first_columns_(static_cast<std::size_t>(graph.sources()), 0),
      read_columns_(static_cast<std::size_t>(graph.sources()), {-1, -1, -1}),
      owners_(static_cast<std::size_t>(graph.destinations()), kUnread) {
  const auto reads = [&](std::int64_t source, std::size_t slot, std::int64_t column) {
    read_columns_[static_cast<std::size_t>(source)][slot] = static_cast<std::int32_t>(column);
    std::int32_t& owner = owners_[static_cast<std::size_t>(column)];
    owner = owner == kUnread ? static_cast<std::int32_t>(source) : kShared;
  };
  const std::int64_t heads_of_kv = graph.heads / graph.kv_columns();
  for (std::int64_t layer = 0; layer < graph.layers; ++layer) {
    const std::int64_t next_layer = (layer + 1) * graph.layer_columns();
    const std::int64_t mlp_column = graph.mlp_column(layer);
    for (std::int64_t head = 0; head < graph.heads; ++head) {
      const std::int64_t source = graph.head_source(layer, head);
      first_columns_[static_cast<std::size_t>(source)] =
          static_cast<std::int32_t>(graph.parallel_block ? next_layer : mlp_column);
      reads(source, 0, graph.q_column(layer, head));
      reads(source, 1, graph.k_column(layer, head / heads_of_kv));
      reads(source, 2, graph.v_column(layer, head / heads_of_kv));
    }
    const std::int64_t mlp = graph.mlp_source(layer);
    first_columns_[static_cast<std::size_t>(mlp)] = static_cast<std::int32_t>(next_layer);
    reads(mlp, 0, mlp_column);
  }
  owners_.back() = kShared;
  row_starts_.push_back(0);
  for (const std::int32_t first : first_columns_) {
    row_starts_.push_back(row_starts_.back() + columns() - first);
  }
}

std::int32_t EdgeIndex::source_of(std::int32_t edge) const {
  const auto after = std::upper_bound(row_starts_.begin(), row_starts_.end(), edge);
  return static_cast<std::int32_t>(after - row_starts_.begin()) - 1;
}

}  // namespace headspark
