// score[u, v] += <delta[u], sum over steps of gradient[v]>, per pair.
#include "engine/edge_score_sink.h"

#include "headspark/ops/edge_contraction.h"
#include "headspark/ops/rows.h"

namespace headspark {

BlockScores::BlockScores(const Engine& engine, const Graph& graph, PairBlock& block)
    : differences(source_differences(engine, graph, block)),
      scores(engine.context.backend,
             static_cast<std::int64_t>(block.pairs()) * graph.sources() * graph.destinations()) {
  scores.zero();
}

EdgeScoreSink::EdgeScoreSink(const Engine& engine, const Graph& graph, const PairBlock& block,
                             BlockScores& scores, std::int64_t copies)
    : engine_(engine),
      graph_(graph),
      block_(block),
      scores_(scores),
      copies_(copies),
      gradients_(engine.context.backend,
                 graph.layer_columns() * block.tokens() * engine.config().hidden) {}

void EdgeScoreSink::sum_copies(const float* d_input) {
  sum_blocks(engine_.context, {.groups = 1,
                               .steps = copies_,
                               .block = block_.tokens() * engine_.config().hidden,
                               .x = d_input,
                               .y = gradients_.data()});
}

void EdgeScoreSink::contract(std::int64_t first_column, std::int64_t columns,
                             std::int64_t sources) {
  if (reads_only_stopped_input(sources)) return;
  const std::int64_t hidden = engine_.config().hidden;
  const std::int64_t stride = block_.tokens() * hidden;
  const std::int64_t dense = graph_.sources() * graph_.destinations();
  for (std::size_t pair = 0; pair < block_.pairs(); ++pair) {
    const std::int64_t offset = block_.begin(pair) * hidden;
    EdgeContraction params;
    params.sources = sources;
    params.destinations = columns;
    params.length = block_.own_length(pair) * hidden;
    params.delta = scores_.differences.data() + offset;
    params.delta_stride = stride;
    params.gradient = gradients_.data() + offset;
    params.gradient_stride = stride;
    params.scores = scores_.scores.data() + static_cast<std::int64_t>(pair) * dense + first_column;
    params.scores_stride = graph_.destinations();
    edge_contraction(engine_.context, params);
  }
}

void EdgeScoreSink::logits_input(const float* d_input) {
  sum_copies(d_input);
  contract(graph_.logits_column(), 1, graph_.sources());
}

void EdgeScoreSink::mlp_input(std::int64_t layer, const float* d_input) {
  sum_copies(d_input);
  contract(graph_.mlp_column(layer), 1, graph_.sources_of_mlp(layer));
}

float* EdgeScoreSink::head_inputs(std::int64_t layer, HeadInput which) {
  std::int64_t column = graph_.q_column(layer, 0);
  if (which == HeadInput::k) column = graph_.k_column(layer, 0);
  if (which == HeadInput::v) column = graph_.v_column(layer, 0);
  return gradients_.data() +
         (column - graph_.q_column(layer, 0)) * block_.tokens() * engine_.config().hidden;
}

void EdgeScoreSink::attention_done(std::int64_t layer) {
  contract(graph_.q_column(layer, 0), graph_.layer_columns() - 1,
           graph_.sources_of_attention(layer));
}

}  // namespace headspark
