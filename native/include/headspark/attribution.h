// Edge attribution: how much every edge of the graph matters for a metric on pairs of prompts.
// EAP (arXiv 2310.10348), EAP-IG (arXiv 2403.17806), information-flow routes (arXiv 2403.00824).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/engine.h"
#include "headspark/graph.h"
#include "headspark/pair.h"

namespace headspark {

enum class AttributionMethod {
  eap,                      ///< gradient at the clean run
  eap_ig_inputs,            ///< gradients along the path between the embeddings
  clean_corrupted,          ///< mean of the gradients at both ends
  eap_ig_activations,       ///< one group of sources interpolated at a time
  information_flow_routes,  ///< no gradients: L1 proximity of a write to what a node reads
  exact,                    ///< each edge patched in its own run
};

/// Where the m steps of integrated gradients lie between corrupted (0) and clean (1):
/// k / m for k = 0 … m-1 (left), k = 1 … m (right), (k + 1/2) / m (midpoint).
enum class IgGrid { left, right, midpoint };

/// Destinations [begin, end) of the graph; end -1: to the last.
struct ColumnRange {
  std::int64_t begin = 0;
  std::int64_t end = -1;
};

struct AttributionOptions {
  AttributionMethod method = AttributionMethod::eap_ig_inputs;
  Metric metric = Metric::logit_diff;
  int ig_steps = 5;
  IgGrid ig_grid = IgGrid::left;
  KvEdges kv_edges = KvEdges::per_query_head;
  bool keep_pair_scores = true;
  PairRange range = {};      ///< whose scores are wanted; no other pair changes a bit of them
  ColumnRange columns = {};  ///< of exact: edges into others are not patched, their scores are 0
};

struct AttributionResult {
  Graph graph;
  std::int64_t pairs = 0;
  std::vector<float> scores;  ///< [sources, destinations], mean over pairs; 0 where no edge
  std::vector<float>
      pair_scores;  ///< [pairs, edges] in row-major order of the real edges, or empty
  std::vector<float> clean_metric;      ///< [pairs]
  std::vector<float> corrupted_metric;  ///< [pairs]
};

/// Scores are summed pair by pair, in order: the batch size cannot change them. Errors:
/// PAIR_LENGTH, PAIR_FORMAT (naming the pair's index), INVALID_ARGUMENT, CANCELLED.
AttributionResult attribute(const Engine& engine, std::span<const Pair> pairs,
                            const AttributionOptions& options, const RunControl& control);

}  // namespace headspark
