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

float* EdgeScoreSink::column(std::int64_t index) {
  return gradients_.data() + index * block_.tokens() * engine_.config().hidden;
}

void EdgeScoreSink::sum_copies(const float* d_input, float* to) {
  sum_blocks(engine_.context, {.groups = 1,
                               .steps = copies_,
                               .block = block_.tokens() * engine_.config().hidden,
                               .x = d_input,
                               .y = to});
}

void EdgeScoreSink::logits_input(const float* d_input) {
  sum_copies(d_input, column(0));
  scores_.contract({.first_column = graph_.logits_column(),
                    .columns = 1,
                    .sources = graph_.sources(),
                    .gradients = column(0)});
}

// Here only the heads that write between the attention's input and the MLP's: the other sources
// meet this column together with the attention's, so that they are read once.
void EdgeScoreSink::mlp_input(std::int64_t layer, const float* d_input) {
  if (reads_only_stopped_input(graph_.sources_of_mlp(layer))) return;
  float* gradient = column(graph_.layer_columns() - 1);
  sum_copies(d_input, gradient);
  scores_.contract({.first_column = graph_.mlp_column(layer),
                    .columns = 1,
                    .first_source = graph_.sources_of_attention(layer),
                    .sources = graph_.sources_of_mlp(layer),
                    .gradients = gradient});
  mlp_waits_ = true;
}

float* EdgeScoreSink::head_inputs(std::int64_t layer, HeadInput which) {
  std::int64_t first = graph_.q_column(layer, 0);
  if (which == HeadInput::k) first = graph_.k_column(layer, 0);
  if (which == HeadInput::v) first = graph_.v_column(layer, 0);
  return column(first - graph_.q_column(layer, 0));
}

void EdgeScoreSink::attention_done(std::int64_t layer) {
  const std::int64_t sources = graph_.sources_of_attention(layer);
  const std::int64_t first = reads_only_stopped_input(sources) ? graph_.layer_columns() - 1 : 0;
  const std::int64_t end = graph_.layer_columns() - (mlp_waits_ ? 0 : 1);
  mlp_waits_ = false;
  if (first >= end) return;
  scores_.contract({.first_column = graph_.q_column(layer, 0) + first,
                    .columns = end - first,
                    .sources = sources,
                    .gradients = column(first)});
}

}  // namespace headspark
