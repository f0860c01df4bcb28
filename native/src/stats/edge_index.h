// Index arithmetic of the real edges: those of a source are a suffix of its row, so that an edge is
// named by its place among the real ones (its compact index). As class CircuitGraph of
// lib/circuit/graph.ts.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "headspark/graph.h"

namespace headspark {

/// An edge, source or column as an index of a vector.
inline std::size_t at(std::int32_t number) {
  return static_cast<std::size_t>(number);
}

class EdgeIndex {
 public:
  explicit EdgeIndex(const Graph& graph);

  const Graph& graph() const { return graph_; }
  std::int32_t sources() const { return static_cast<std::int32_t>(first_columns_.size()); }
  std::int32_t columns() const { return static_cast<std::int32_t>(owners_.size()); }
  std::int32_t edges() const { return row_starts_.back(); }

  /// First destination that reads `source`; the others follow, up to the logits.
  std::int32_t first_column(std::int32_t source) const { return first_columns_[at(source)]; }
  /// First edge of `source`; row_start(sources()) is edges().
  std::int32_t row_start(std::int32_t source) const { return row_starts_[at(source)]; }
  std::int32_t edge(std::int32_t source, std::int32_t column) const {
    return row_start(source) + column - first_column(source);
  }
  std::int32_t source_of(std::int32_t edge) const;

  /// The columns that `source` reads: q, k and v of a head, an MLP's own; -1 pads.
  const std::array<std::int32_t, 3>& read_columns(std::int32_t source) const {
    return read_columns_[at(source)];
  }
  /// The only source that reads `column`; -1 for the logits and a k or v that several heads share.
  std::int32_t only_reader(std::int32_t column) const { return owners_[at(column)]; }

 private:
  Graph graph_;
  std::vector<std::int32_t> first_columns_;
  std::vector<std::int32_t> row_starts_;
  std::vector<std::array<std::int32_t, 3>> read_columns_;
  std::vector<std::int32_t> owners_;
};

}  // namespace headspark
