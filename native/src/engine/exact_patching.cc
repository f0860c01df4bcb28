// Exact edge patching: the score of an edge is how far the loss rises when this edge alone carries
// the corrupted run's write.
#include "engine/circuit_forward.h"
#include "engine/methods.h"
#include "engine/score_book.h"

namespace headspark {

AttributionResult exact_attribution(const Engine& engine, std::span<const Pair> pairs,
                                    const AttributionOptions& options, const RunControl& control) {
  const Graph graph = make_graph(engine.config(), options.kv_edges);
  const RotaryTable rotary = rotary_for(engine, longest_pair(pairs));
  const auto destinations = static_cast<std::size_t>(graph.destinations());
  const auto dense = static_cast<std::size_t>(graph.sources()) * destinations;
  const auto ranges =
      plan_pairs(engine, pairs, options.metric,
                 {.floats = CircuitForward::floats_per_token(engine.config(), graph)});
  const std::uint64_t total = ranges.size() * static_cast<std::uint64_t>(graph.edges());
  std::uint64_t done = 0;
  ScoreBook book(graph, pairs.size(), options.keep_pair_scores);
  for (const auto& [begin, end] : ranges) {
    PairBlock block(engine, pairs.subspan(begin, end - begin),
                    {options.metric, engine.options.share_prefix}, rotary, control);
    CircuitForward forward(engine, graph, block,
                           reference_writes(engine, graph, block, ExcludedEdges::patch, {}));
    std::vector<std::uint8_t> mask(dense, 1);
    const std::vector<float> full = forward.run(mask, control);
    std::vector<float> scores(block.pairs() * dense, 0.0f);
    for (std::size_t edge = 0; edge < dense; ++edge) {
      const auto source = static_cast<std::int64_t>(edge / destinations);
      if (source >= graph.sources_of_column(static_cast<std::int64_t>(edge % destinations)))
        continue;
      mask[edge] = 0;
      const std::vector<float> patched = forward.run(mask, control);
      mask[edge] = 1;
      for (std::size_t pair = 0; pair < block.pairs(); ++pair) {
        scores[pair * dense + edge] = loss_sign(options.metric) * (patched[pair] - full[pair]);
      }
      control.report({++done, total, "edges"});
    }
    book.add(block, scores);
  }
  return std::move(book).finish();
}

}  // namespace headspark
