// The heads of circuits of mean scores under many weightings of pairs: what a bootstrap of a
// circuit difference does a thousand times for every table.
#pragma once

#include <cstdint>
#include <optional>

#include "headspark/context.h"
#include "headspark/graph.h"
#include "headspark/weighted_means.h"

namespace headspark {

enum class SelectionRule {
  top_n,      ///< the n highest edges; with tau, those of them that reach it
  threshold,  ///< every edge that reaches tau
  greedy,     ///< n edges, best first, from the logits backwards
};

/// `absolute` ranks |score| and compares it with tau, `signed_score` the score itself.
enum class Ranking { absolute, signed_score };

/// Which edges make a circuit; as Selection of lib/circuit/select.ts. Equal scores go by edge
/// index.
struct CircuitSelection {
  SelectionRule rule = SelectionRule::top_n;
  std::int64_t n = 0;                        ///< of top_n and greedy, 0 to graph.edges()
  std::optional<double> tau = std::nullopt;  ///< of threshold, and of top_n where wanted; finite
  Ranking ranking = Ranking::absolute;
  bool prune = true;  ///< keep what connects input and logits
};

struct ResampledHeads {
  Graph graph;
  CircuitSelection selection;
  WeightedMeans means;            ///< of pair scores: a column for every edge of the graph
  std::uint8_t* masks = nullptr;  ///< [rows, layers * heads], 1 where the head has an edge
  /// [rows, layers * heads], sums of |score| of outgoing edges, normalised to 1
  double* importances = nullptr;
};

/// The bits of resampledHeads of lib/diff/resampled-heads.ts, for any number of threads. Throws
/// Error(INVALID_ARGUMENT), and TENSOR_VALUE for a mean that is not finite.
void resampled_heads(const Context& context, const ResampledHeads& work);

}  // namespace headspark
