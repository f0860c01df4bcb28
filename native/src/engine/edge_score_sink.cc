// score[u, v] += <delta[u], sum over steps of gradient[v]>, per pair.
#include "engine/edge_score_sink.h"

#include <algorithm>

#include "headspark/ops/edge_contraction.h"
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

namespace {

/// Columns of a group of layers, about: what one pass over the differences meets. More would take
/// memory from the micro-batches; a GPU has more of it.
std::int64_t group_columns(const Engine& engine) {
  return engine.context.on_cpu() ? 128 : 256;
}

std::int64_t group_layers(const Engine& engine, const Graph& graph) {
  return std::clamp<std::int64_t>(group_columns(engine) / graph.layer_columns(), 1,
                                  std::max<std::int64_t>(graph.layers, 1));
}

DType type_of(const Engine& engine) {
  return contracted_type(engine.context, engine.config().hidden);
}

}  // namespace

EdgeScoreSink::EdgeScoreSink(const Engine& engine, const Graph& graph, const PairBlock& block,
                             BlockScores& scores, std::int64_t copies)
    : engine_(engine),
      graph_(graph),
      block_(block),
      scores_(scores),
      copies_(copies),
      type_(type_of(engine)),
      gradients_(engine.context.backend, floats_per_token(engine, graph) * block.tokens()) {}

std::int64_t EdgeScoreSink::floats_per_token(const Engine& engine, const Graph& graph) {
  // The logits belong to the highest layers' group.
  const std::int64_t columns = group_layers(engine, graph) * graph.layer_columns() + 1;
  return floats_for(columns * engine.config().hidden, type_of(engine));
}

std::int64_t EdgeScoreSink::sources_of(std::int64_t column) const {
  const std::int64_t sources = graph_.sources_of_column(column);
  const bool stopped = input_stopped_ && sources == 1 && !engine_.config().learned_positions;
  return stopped ? 0 : sources;
}

float* EdgeScoreSink::gradient(std::int64_t column) {
  const std::int64_t index = column - graph_.q_column(group_layer_, 0);
  return element_in(gradients_.data(), index * block_.tokens() * engine_.config().hidden, type_);
}

void EdgeScoreSink::sum_copies(const float* d_input, std::int64_t column) {
  sum_blocks(engine_.context, {.groups = 1,
                               .steps = d_input != nullptr ? copies_ : 0,
                               .block = block_.tokens() * engine_.config().hidden,
                               .x = d_input,
                               .y = gradient(column),
                               .type = type_});
}

void EdgeScoreSink::begin_group(std::int64_t end_column) {
  group_end_ = end_column;
  const std::int64_t layers = end_column / graph_.layer_columns();
  group_layer_ = std::max<std::int64_t>(layers - group_layers(engine_, graph_), 0);
}

void EdgeScoreSink::logits_input(const float* d_input) {
  begin_group(graph_.destinations());
  sum_copies(d_input, graph_.logits_column());
}

void EdgeScoreSink::mlp_input(std::int64_t layer, const float* d_input) {
  sum_copies(d_input, graph_.mlp_column(layer));
  mlp_shown_ = true;
}

float* EdgeScoreSink::head_inputs(std::int64_t layer, HeadInput which) {
  if (which == HeadInput::k) return gradient(graph_.k_column(layer, 0));
  if (which == HeadInput::v) return gradient(graph_.v_column(layer, 0));
  return gradient(graph_.q_column(layer, 0));
}

void EdgeScoreSink::attention_done(std::int64_t layer) {
  if (!mlp_shown_) sum_copies(nullptr, graph_.mlp_column(layer));
  mlp_shown_ = false;
  if (layer > group_layer_) return;
  contract_group();
  begin_group(graph_.q_column(layer, 0));
}

void EdgeScoreSink::contract_group() {
  ContractedColumns columns;
  columns.first = graph_.q_column(group_layer_, 0);
  columns.gradients = gradient(columns.first);
  for (std::int64_t column = columns.first; column < group_end_; ++column) {
    columns.ends.push_back(sources_of(column));
  }
  scores_.contract(columns);
}

}  // namespace headspark
