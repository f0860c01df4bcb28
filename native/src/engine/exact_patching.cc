// Exact edge patching: the score of an edge is how far the loss rises when this edge alone carries
// the corrupted run's write.
#include <string>

#include "engine/circuit_forward.h"
#include "engine/methods.h"
#include "engine/score_book.h"
#include "headspark/error.h"

namespace headspark {
namespace {

ColumnRange columns_in(const Graph& graph, const ColumnRange& wanted) {
  const ColumnRange columns{wanted.begin, wanted.end < 0 ? graph.destinations() : wanted.end};
  if (columns.begin < 0 || columns.begin >= columns.end || columns.end > graph.destinations()) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "The destinations [" + std::to_string(wanted.begin) +
                                                 ", " + std::to_string(wanted.end) +
                                                 ") are not among the " +
                                                 std::to_string(graph.destinations()) + ".");
  }
  return columns;
}

std::int64_t edges_into(const Graph& graph, const ColumnRange& columns) {
  std::int64_t edges = 0;
  for (std::int64_t column = columns.begin; column < columns.end; ++column) {
    edges += graph.sources_of_column(column);
  }
  return edges;
}

}  // namespace

AttributionResult exact_attribution(const Engine& engine, std::span<const Pair> pairs,
                                    const AttributionOptions& options, const RunControl& control) {
  const Graph graph = make_graph(engine.config(), options.kv_edges);
  const RotaryTables rotary = rotary_for(engine, longest_pair(pairs));
  const auto dense = static_cast<std::size_t>(graph.sources() * graph.destinations());
  const auto ranges = plan_pairs(engine, pairs, options.metric,
                                 {.floats = CircuitForward::floats_per_token(engine, graph)});
  const ColumnRange columns = columns_in(graph, options.columns);
  const std::uint64_t total =
      ranges.size() * static_cast<std::uint64_t>(edges_into(graph, columns));
  std::uint64_t done = 0;
  ScoreBook book(graph, pairs.size(), options.keep_pair_scores);
  for (const auto& [begin, end] : ranges) {
    PairBlock block(engine, pairs.subspan(begin, end - begin),
                    {options.metric, engine.options.share_prefix}, rotary, control);
    CircuitForward forward(engine, graph, block, {engine, block});
    std::vector<std::uint8_t> mask(dense, 1);
    const std::vector<float> full = forward.run(mask, control);
    std::vector<float> scores(block.pairs() * dense, 0.0f);
    // From the last destination down: the layers below an edge's are still those of the full run.
    for (std::int64_t column = columns.end - 1; column >= columns.begin; --column) {
      const std::int64_t layer = column / graph.layer_columns();
      for (std::int64_t source = 0; source < graph.sources_of_column(column); ++source) {
        const auto edge = static_cast<std::size_t>(source * graph.destinations() + column);
        mask[edge] = 0;
        const std::vector<float> patched = forward.run(mask, control, layer);
        mask[edge] = 1;
        for (std::size_t pair = 0; pair < block.pairs(); ++pair) {
          scores[pair * dense + edge] = loss_sign(options.metric) * (patched[pair] - full[pair]);
        }
        control.report({++done, total, "edges"});
      }
    }
    book.add(block, scores);
  }
  return std::move(book).finish();
}

}  // namespace headspark
