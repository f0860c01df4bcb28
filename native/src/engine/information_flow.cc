// Information-flow routes (arXiv 2403.00824): no gradients, one clean forward per pair. All
// positions count, so prefixes are not shared.
#include <algorithm>

#include "engine/methods.h"
#include "engine/pair_block.h"
#include "engine/score_book.h"
#include "headspark/ops/edge_contraction.h"

namespace headspark {
namespace {

/// An input and the columns of the graph that read it.
struct FlowRead {
  const float* input;  ///< [tokens, hidden]
  std::int64_t sources;
  std::int64_t first_column;
  std::int64_t columns;
};

std::vector<FlowRead> reads_of(const Graph& graph, const Trace& trace) {
  std::vector<FlowRead> reads;
  for (std::int64_t layer = 0; layer < graph.layers; ++layer) {
    const LayerTrace& read = trace.layer(layer);
    reads.push_back({read.residual, graph.sources_of_attention(layer), graph.q_column(layer, 0),
                     graph.layer_columns() - 1});
    reads.push_back({graph.parallel_block ? read.residual : read.residual_mid,
                     graph.sources_of_mlp(layer), graph.mlp_column(layer), 1});
  }
  reads.push_back({trace.final_residual(), graph.sources(), graph.logits_column(), 1});
  return reads;
}

/// Scores [pairs, sources, destinations] from a read's sums over each pair's positions, [pairs,
/// its sources]: their means, in each of its columns.
void spread(const FlowRead& read, const Graph& graph, const PairBlock& block, const float* flow,
            std::vector<float>& scores) {
  for (std::size_t pair = 0; pair < block.pairs(); ++pair) {
    float* matrix =
        scores.data() + static_cast<std::int64_t>(pair) * graph.sources() * graph.destinations();
    const auto length = static_cast<float>(block.own_length(pair));
    for (std::int64_t source = 0; source < read.sources; ++source) {
      const float mean = *flow++ / length;
      std::fill_n(matrix + source * graph.destinations() + read.first_column, read.columns, mean);
    }
  }
}

std::vector<float> block_flow(const Engine& engine, const Graph& graph, PairBlock& block,
                              const RunControl& control) {
  const Buffer<float> writes = clean_writes(engine, graph, block);
  const Batch batch(engine.context, block.repeated_rows(1));
  Trace trace(engine, block.tokens(), {.gradients = true});  // keeps every residual stream
  run_forward(engine, batch, {.rotary = &block.rotary()}, trace, control);
  const std::vector<FlowRead> reads = reads_of(graph, trace);
  const auto pairs = static_cast<std::int64_t>(block.pairs());
  std::int64_t sums = 0;
  for (const FlowRead& read : reads) sums += pairs * read.sources;
  Buffer<float> flow(engine.context.backend, sums);
  flow.zero();
  float* to = flow.data();
  for (const FlowRead& read : reads) {
    control.check();
    flow_proximity(engine.context, {.sources = read.sources,
                                    .tokens = block.tokens(),
                                    .width = engine.config().hidden,
                                    .input = read.input,
                                    .write = writes.data(),
                                    .write_stride = block.tokens() * engine.config().hidden,
                                    .scores = to,
                                    .pairs = pairs,
                                    .begin = batch.row_begin()});
    to += pairs * read.sources;
  }
  std::vector<float> scores(
      static_cast<std::size_t>(pairs * graph.sources() * graph.destinations()), 0.0f);
  const std::vector<float> host = flow.to_host();
  const float* from = host.data();
  for (const FlowRead& read : reads) {
    spread(read, graph, block, from, scores);
    from += pairs * read.sources;
  }
  return scores;
}

}  // namespace

AttributionResult flow_attribution(const Engine& engine, std::span<const Pair> pairs,
                                   const AttributionOptions& options, const RunControl& control) {
  const Graph graph = make_graph(engine.config(), options.kv_edges);
  const ModelConfig& config = engine.config();
  const RotaryTables rotary = rotary_for(engine, longest_pair(pairs));
  const std::int64_t floats = 2 * Trace::floats_per_token(engine, {.sources = true}) +
                              Trace::floats_per_token(engine, {.gradients = true}) +
                              graph.sources() * config.hidden;
  ScoreBook book(graph, pairs.size(), options.keep_pair_scores);
  const auto ranges = plan_pairs(engine, pairs, options.metric,
                                 {.floats = floats, .copies = 2, .share_prefix = false});
  for (const auto& [begin, end] : ranges) {
    control.report({begin, pairs.size(), "attribution"});
    PairBlock block(engine, pairs.subspan(begin, end - begin),
                    {options.metric, false, /*all_positions=*/true}, rotary, control);
    book.add(block, block_flow(engine, graph, block, control));
  }
  control.report({pairs.size(), pairs.size(), "attribution"});
  return std::move(book).finish();
}

}  // namespace headspark
