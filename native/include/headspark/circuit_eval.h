// Faithfulness: run the clean prompts where every destination reads circuit edges from the circuit
// itself and all other edges from a reference run (method, section 4).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/engine.h"
#include "headspark/graph.h"
#include "headspark/pair.h"

namespace headspark {

/// What an edge outside the circuit carries.
enum class ExcludedEdges {
  patch,  ///< the corrupted run's write of its source
  zero,   ///< nothing
  mean,   ///< the source's mean write over all tokens of the clean prompts
};

struct CircuitEvalOptions {
  Metric metric = Metric::logit_diff;
  KvEdges kv_edges = KvEdges::per_query_head;
  ExcludedEdges excluded = ExcludedEdges::patch;
  PairRange range = {};  ///< whose values are wanted; means are of all pairs
};

struct CircuitEvalResult {
  std::int64_t pairs = 0;               ///< of the range
  std::vector<float> values;            ///< [circuits, pairs]
  std::vector<float> clean_metric;      ///< [pairs], the full model
  std::vector<float> corrupted_metric;  ///< [pairs]
};

/// `circuits` holds one [sources, destinations] mask of 0 and 1 after the other.
CircuitEvalResult evaluate_circuits(const Engine& engine, std::span<const Pair> pairs,
                                    std::span<const std::uint8_t> circuits,
                                    const CircuitEvalOptions& options, const RunControl& control);

}  // namespace headspark
