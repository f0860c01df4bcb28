// Means of all weightings first, so that pair scores are read once; then a circuit a row.
#include "headspark/resampled_heads.h"

#include <cmath>

#include "headspark/thread_pool.h"
#include "ops/check.h"
#include "stats/circuit_heads.h"
#include "stats/edge_index.h"
#include "stats/select_edges.h"

namespace headspark {
namespace {

constexpr const char* kOp = "resampled_heads";

void check_graph(const Graph& graph) {
  check_argument(graph.layers > 0 && graph.heads > 0 && graph.kv_heads > 0 &&
                     graph.heads % graph.kv_heads == 0,
                 kOp, "the graph needs layers, heads and kv_heads that divide them");
  constexpr std::int64_t most = 1024;
  check_argument(graph.layers <= most && graph.heads <= most &&
                     graph.sources() * graph.destinations() < (std::int64_t{1} << 31),
                 kOp, "the graph has more than 1024 layers or heads, or 2^31 edges or more");
}

void check_selection(const CircuitSelection& selection, std::int64_t edges) {
  const bool threshold = selection.rule == SelectionRule::threshold;
  check_argument(threshold || (selection.n >= 0 && selection.n <= edges), kOp,
                 "n is below 0 or above the number of edges");
  check_argument(!threshold || selection.tau.has_value(), kOp, "the threshold rule needs tau");
  check_argument(!selection.tau || std::isfinite(*selection.tau), kOp, "tau is not finite");
}

}  // namespace

void resampled_heads(const Context& context, const ResampledHeads& work) {
  check_graph(work.graph);
  check_selection(work.selection, work.graph.edges());
  const std::int64_t edges = work.graph.edges();
  check_argument(work.means.columns == edges, kOp, "means need a column for every edge");
  if (work.means.rows == 0) return;
  check_pointer(work.masks, kOp, "masks");
  check_pointer(work.importances, kOp, "importances");
  weighted_means(context, work.means);
  const EdgeIndex index(work.graph);
  const std::int64_t heads = work.graph.layers * work.graph.heads;
  context.threads->parallel_for(work.means.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    EdgeSelector selector(index, work.selection);
    CircuitHeads circuit(index);
    for (std::int64_t row = begin; row < end; ++row) {
      const float* scores = work.means.means + row * edges;
      std::vector<SelectedEdge>& selected = selector.select(scores);
      if (work.selection.prune) circuit.prune(selected);
      circuit.write_mask(selected, work.masks + row * heads);
      circuit.write_importance(selected, scores, work.importances + row * heads);
    }
  });
}

}  // namespace headspark
