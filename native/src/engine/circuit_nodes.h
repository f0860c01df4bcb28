// The nodes whose writes a circuit reads, and the destinations of those: what has to be computed.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/graph.h"

namespace headspark {

class CircuitNodes {
 public:
  /// mask: [sources, destinations] of 0 and 1. Heads that go through a norm together are all read
  /// where one of their layer is.
  CircuitNodes(const Graph& graph, std::span<const std::uint8_t> mask, bool heads_together);

  bool head(std::int64_t layer, std::int64_t head) const {
    return read_[static_cast<std::size_t>(graph_.head_source(layer, head))];
  }
  std::int64_t heads(std::int64_t layer) const;  ///< how many of a layer
  bool mlp(std::int64_t layer) const {
    return read_[static_cast<std::size_t>(graph_.mlp_source(layer))];
  }

  /// Whether a destination is one of a node that is read, or the logits.
  bool has_column(std::int64_t column) const;
  std::int64_t columns() const { return places_.back() + 1; }  ///< how many are
  /// How many columns below `column` are: its own place among them if it is one.
  std::int64_t place(std::int64_t column) const {
    return places_[static_cast<std::size_t>(column)];
  }
  /// [sources, columns()]: the circuit's edges into them.
  const std::vector<std::uint8_t>& mask() const { return mask_; }

 private:
  bool has_kv(std::int64_t layer, std::int64_t index) const;
  void read_whole_layers();

  const Graph& graph_;
  std::vector<bool> read_;            // [sources]
  std::vector<std::int64_t> places_;  // [destinations]
  std::vector<std::uint8_t> mask_;
};

}  // namespace headspark
