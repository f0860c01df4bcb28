// Sources stand layer by layer as heads, then the MLP: the input and the MLPs are every (heads +
// 1)th.
#include "engine/source_differences.h"

#include <algorithm>

#include "headspark/ops/edge_contraction.h"

namespace headspark {
SourceDifferences::SourceDifferences(const Engine& engine, const Graph& graph, PairBlock& block,
                                     HeadWrites writes)
    : engine_(engine),
      graph_(graph),
      block_(block),
      writes_(writes),
      type_(contracted_type(engine.context, engine.config().hidden)) {
  if (writes == HeadWrites::expanded) {
    all_ = source_differences(engine, graph, block);
    return;
  }
  const ModelConfig& config = engine.config();
  const std::int64_t stream = block.tokens() * config.hidden;
  const std::int64_t z = block.tokens() * config.heads * config.head_dim;
  const auto make = [&](std::int64_t count) {
    return Buffer<float>(engine.context.backend, count);
  };
  streams_ = make(floats_for((1 + config.layers) * stream, type_));
  z_ = make(config.layers * z);
  layer_ = make(floats_for(config.heads * stream, type_));
  subtract_ends(engine, block.ends().embedding(), stream, streams_.data(), type_);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const LayerTrace& trace = block.ends().layer(layer);
    subtract_ends(engine, trace.written, z, z_.data() + layer * z);
    subtract_ends(engine, trace.mlp_out, stream,
                  element_in(streams_.data(), (1 + layer) * stream, type_), type_);
  }
}

void SourceDifferences::contract(const ContractedColumns& columns, float* scores) {
  const ModelConfig& config = engine_.config();
  if (writes_ == HeadWrites::expanded) {
    return contract_rows({.delta = all_.data(), .count = graph_.sources()}, columns, scores);
  }
  contract_rows({.delta = streams_.data(), .count = 1 + config.layers, .step = config.heads + 1},
                columns, scores);
  const std::int64_t z = block_.tokens() * config.heads * config.head_dim;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::int64_t head = graph_.head_source(layer, 0);
    if (columns.ends.back() <= head) break;
    expand_head_writes(engine_, layer, block_.tokens(), z_.data() + layer * z, layer_.data(),
                       block_.tokens() * config.hidden, type_);
    contract_rows({.delta = layer_.data(), .count = config.heads, .first = head}, columns, scores);
  }
}

void SourceDifferences::contract_rows(const Rows& rows, const ContractedColumns& columns,
                                      float* scores) const {
  const std::int64_t hidden = engine_.config().hidden;
  const std::int64_t stride = block_.tokens() * hidden;
  const std::int64_t dense = graph_.sources() * graph_.destinations();
  std::vector<std::int64_t> ends;  // in rows
  for (const std::int64_t end : columns.ends) {
    const std::int64_t of_rows = (end - rows.first + rows.step - 1) / rows.step;
    ends.push_back(std::clamp<std::int64_t>(of_rows, 0, rows.count));
  }
  std::vector<EdgeContraction> contractions;
  for (std::size_t pair = 0; pair < block_.pairs(); ++pair) {
    const std::int64_t offset = block_.begin(pair) * hidden;
    EdgeContraction params;
    params.sources = ends.back();
    params.destinations = static_cast<std::int64_t>(ends.size());
    params.length = block_.own_length(pair) * hidden;
    params.delta = element_in(rows.delta, offset, type_);
    params.delta_stride = stride;
    params.gradient = element_in(columns.gradients, offset, type_);
    params.gradient_stride = stride;
    params.scores = scores + static_cast<std::int64_t>(pair) * dense +
                    rows.first * graph_.destinations() + columns.first;
    params.scores_stride = rows.step * graph_.destinations();
    params.ends = ends.data();
    params.type = type_;
    contractions.push_back(params);
  }
  edge_contraction(engine_.context, contractions);
}

std::int64_t SourceDifferences::floats_per_token(const Engine& engine, const Graph& graph,
                                                 HeadWrites writes) {
  const ModelConfig& config = engine.config();
  const DType type = contracted_type(engine.context, config.hidden);
  if (writes == HeadWrites::expanded) return floats_for(graph.sources() * config.hidden, type);
  return floats_for((1 + config.layers + config.heads) * config.hidden, type) +
         config.layers * config.heads * config.head_dim;
}

}  // namespace headspark
