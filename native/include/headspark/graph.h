// The computational graph (design: identical to hannamw/EAP-IG, so that scores compare number by
// number): sources are rows, destinations are columns of every score matrix.
#pragma once

#include <cstdint>

#include "headspark/model.h"

namespace headspark {

/// One k and one v destination per query head (the reference), or one per key/value head.
enum class KvEdges { per_query_head, grouped };

struct Graph {
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  bool parallel_block = false;
  KvEdges kv_edges = KvEdges::per_query_head;

  /// k (and v) destinations of one layer.
  std::int64_t kv_columns() const { return kv_edges == KvEdges::grouped ? kv_heads : heads; }
  std::int64_t layer_columns() const { return heads + 2 * kv_columns() + 1; }

  std::int64_t sources() const { return 1 + layers * (heads + 1); }
  std::int64_t destinations() const { return layers * layer_columns() + 1; }

  std::int64_t head_source(std::int64_t layer, std::int64_t head) const {
    return 1 + layer * (heads + 1) + head;
  }
  std::int64_t mlp_source(std::int64_t layer) const { return 1 + layer * (heads + 1) + heads; }

  std::int64_t q_column(std::int64_t layer, std::int64_t head) const {
    return layer * layer_columns() + head;
  }
  std::int64_t k_column(std::int64_t layer, std::int64_t index) const {
    return layer * layer_columns() + heads + index;
  }
  std::int64_t v_column(std::int64_t layer, std::int64_t index) const {
    return layer * layer_columns() + heads + kv_columns() + index;
  }
  std::int64_t mlp_column(std::int64_t layer) const { return (layer + 1) * layer_columns() - 1; }
  std::int64_t logits_column() const { return destinations() - 1; }

  /// A destination reads every source with a smaller index than this.
  std::int64_t sources_of_attention(std::int64_t layer) const { return 1 + layer * (heads + 1); }
  std::int64_t sources_of_mlp(std::int64_t layer) const {
    return sources_of_attention(layer) + (parallel_block ? 0 : heads);
  }
  std::int64_t sources_of_column(std::int64_t column) const;

  std::int64_t edges() const;
};

Graph make_graph(const ModelConfig& config, KvEdges kv_edges);

}  // namespace headspark
