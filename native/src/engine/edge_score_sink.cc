// score[u, v] += <delta[u], sum over steps of gradient[v]>, per pair.
#include "engine/edge_score_sink.h"

#include "headspark/ops/rows.h"

namespace headspark {

BlockScores::BlockScores(const Engine& engine, const Graph& graph, PairBlock& block,
                         HeadWrites writes)
    : engine_(engine),
      graph_(graph),
      block_(block),
      writes_(writes),
      scores_(engine.context.backend,
              static_cast<std::int64_t>(block.pairs()) * graph.sources() * graph.destinations()) {
  scores_.zero();
}

void BlockScores::contract(const ContractedColumns& columns) {
  if (!differences_) differences_.emplace(engine_, graph_, block_, writes_);
  differences_->contract(columns, scores_.data());
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
  scores_.contract({first_column, columns, sources, gradients_.data()});
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
