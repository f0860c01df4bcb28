// What the sources of a block write, corrupted minus clean: the delta of every attribution score.
// Heads are kept as z [heads, head_dim], which W_O expands to [heads, hidden] (5 to 16 times as
// much) one layer at a time in every call of contract; or once for all, where the memory allows it.
// The bits are the same.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/pair_block.h"
#include "headspark/graph.h"

namespace headspark {

enum class HeadWrites { expanded, per_layer };

/// Consecutive destinations.
struct ContractedColumns {
  std::int64_t first = 0;
  std::vector<std::int64_t> ends;    ///< ascending: each reads the sources with a smaller index
  const float* gradients = nullptr;  ///< [columns, block tokens, hidden], of contracted_type
};

class SourceDifferences {
 public:
  SourceDifferences(const Engine& engine, const Graph& graph, PairBlock& block, HeadWrites writes);

  /// scores[pair, u, v] += <difference[u], gradient[v]> over the pair's tokens, for a block's
  /// scores [pairs, sources, destinations].
  void contract(const ContractedColumns& columns, float* scores);

  /// fp32 values per own token of a pair.
  static std::int64_t floats_per_token(const Engine& engine, const Graph& graph, HeadWrites writes);

 private:
  /// Consecutive rows of delta, of contracted_type, which are every `step`th source from `first`
  /// on.
  struct Rows {
    const float* delta = nullptr;
    std::int64_t count = 0;
    std::int64_t first = 0;
    std::int64_t step = 1;
  };
  void contract_rows(const Rows& rows, const ContractedColumns& columns, float* scores) const;

  const Engine& engine_;
  const Graph& graph_;
  PairBlock& block_;
  HeadWrites writes_;
  DType type_;             ///< contracted_type, of all but z
  Buffer<float> all_;      ///< expanded: [sources, tokens, hidden]
  Buffer<float> streams_;  ///< per_layer: [1 + layers, tokens, hidden], the input and the MLPs
  Buffer<float> z_;        ///< per_layer: [layers, tokens, heads, head_dim]
  Buffer<float> layer_;    ///< per_layer: [heads, tokens, hidden] of one layer
};

}  // namespace headspark
