// Information-flow routes (arXiv 2403.00824): no gradients, one clean forward per pair. All
// positions count, so prefixes are not shared.
#include "engine/methods.h"
#include "engine/pair_block.h"
#include "engine/score_book.h"
#include "headspark/ops/edge_contraction.h"

namespace headspark {
namespace {

struct FlowPass {
  const Engine& engine;
  const Graph& graph;
  PairBlock& block;
  const Buffer<float>& writes;  ///< [sources, tokens, hidden]
  std::vector<float> scores;    ///< [pairs, sources, destinations], host

  /// Proximities of all sources below `sources` to what is read at `input` [tokens, hidden],
  /// mean over the pair's positions, written to `columns` columns from `first` on.
  void read(const float* input, std::int64_t sources, std::int64_t first, std::int64_t columns) {
    const std::int64_t hidden = engine.config().hidden;
    for (std::size_t pair = 0; pair < block.pairs(); ++pair) {
      Buffer<float> flow(engine.context.backend, sources);
      flow.zero();
      const std::int64_t offset = block.begin(pair) * hidden;
      flow_proximity(engine.context, {.sources = sources,
                                      .tokens = block.own_length(pair),
                                      .width = hidden,
                                      .input = input + offset,
                                      .write = writes.data() + offset,
                                      .write_stride = block.tokens() * hidden,
                                      .scores = flow.data()});
      const std::vector<float> host = flow.to_host();
      float* matrix =
          scores.data() + static_cast<std::int64_t>(pair) * graph.sources() * graph.destinations();
      for (std::int64_t source = 0; source < sources; ++source) {
        for (std::int64_t column = first; column < first + columns; ++column) {
          matrix[source * graph.destinations() + column] =
              host[static_cast<std::size_t>(source)] / static_cast<float>(block.own_length(pair));
        }
      }
    }
  }
};

std::vector<float> block_flow(const Engine& engine, const Graph& graph, PairBlock& block,
                              const RunControl& control) {
  const Buffer<float> writes = clean_writes(engine, graph, block);
  const Batch batch(engine.context, block.repeated_rows(1));
  Trace trace(engine, block.tokens(), {.gradients = true});  // keeps every residual stream
  run_forward(engine, batch, {.rotary = &block.rotary()}, trace, control);
  FlowPass pass{engine, graph, block, writes, {}};
  pass.scores.assign(
      block.pairs() * static_cast<std::size_t>(graph.sources() * graph.destinations()), 0.0f);
  for (std::int64_t layer = 0; layer < graph.layers; ++layer) {
    control.check();
    const LayerTrace& read = trace.layer(layer);
    pass.read(read.residual, graph.sources_of_attention(layer), graph.q_column(layer, 0),
              graph.layer_columns() - 1);
    pass.read(graph.parallel_block ? read.residual : read.residual_mid, graph.sources_of_mlp(layer),
              graph.mlp_column(layer), 1);
  }
  pass.read(trace.final_residual(), graph.sources(), graph.logits_column(), 1);
  return std::move(pass.scores);
}

}  // namespace

AttributionResult flow_attribution(const Engine& engine, std::span<const Pair> pairs,
                                   const AttributionOptions& options, const RunControl& control) {
  const Graph graph = make_graph(engine.config(), options.kv_edges);
  const ModelConfig& config = engine.config();
  const RotaryTable rotary = rotary_for(engine, longest_pair(pairs));
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
