// All points of all pairs are rows of one batch: copy c of the block's rows is its point alphas[c].
#include "engine/gradient_path.h"

#include <algorithm>

#include "headspark/ops/rows.h"

namespace headspark {
namespace {

std::int64_t widest(const ModelConfig& config, bool activations) {
  return activations ? std::max(config.hidden, config.heads * config.head_dim) : config.hidden;
}

TraceOptions trace_options(const PathPoints& points) {
  return {.sources = !points.ends.empty(), .gradients = true};
}

std::vector<std::int32_t> end_index(const PairBlock& block, std::size_t copies) {
  std::vector<std::int32_t> index;
  for (std::size_t copy = 0; copy < copies; ++copy) {
    for (std::int32_t t = 0; t < block.tokens(); ++t) index.push_back(t);
  }
  return index;
}

std::vector<float> token_alphas(const PairBlock& block, const std::vector<float>& alphas) {
  std::vector<float> values;
  for (const float alpha : alphas) {
    values.insert(values.end(), static_cast<std::size_t>(block.tokens()), alpha);
  }
  return values;
}

}  // namespace

PathWorkspace::PathWorkspace(const Engine& engine, std::int64_t max_tokens,
                             const PathPoints& points)
    : trace(engine, max_tokens, trace_options(points)), backward(engine, max_tokens) {
  const std::int64_t count = max_tokens * widest(engine.config(), points.activations);
  clean = Buffer<float>(engine.context.backend, count);
  corrupted = Buffer<float>(engine.context.backend, count);
  path = Buffer<float>(engine.context.backend, count);
}

GradientPath::GradientPath(const Operands& operands, const PathPoints& points)
    : engine_(operands.engine),
      block_(operands.block),
      points_(points),
      batch_(engine_.context,
             block_.repeated_rows(static_cast<std::int64_t>(points.alphas.size()))),
      supervised_(block_.supervised(static_cast<std::int64_t>(points.alphas.size()))),
      wanted_(engine_.context, batch_.host(), supervised_.counts()),
      sink_(engine_, operands.graph, block_, operands.scores,
            static_cast<std::int64_t>(points.alphas.size())),
      workspace_(operands.workspace),
      end_index_(engine_.context.backend,
                 std::span<const std::int32_t>(end_index(block_, points.alphas.size()))),
      alpha_(engine_.context.backend, std::span<const float>(token_alphas(block_, points.alphas))) {
  supervised_.pack();
}

void GradientPath::interpolate_ends(const float* ends, std::int64_t width, float* y) {
  const std::int64_t tokens = batch_.tokens();
  gather_rows(engine_.context, tokens, width, end_index_.data(), ends, workspace_.clean.data());
  gather_rows(engine_.context, tokens, width, end_index_.data(), ends + block_.tokens() * width,
              workspace_.corrupted.data());
  interpolate(engine_.context, {.rows = tokens,
                                .width = width,
                                .alpha = alpha_.data(),
                                .clean = workspace_.clean.data(),
                                .corrupted = workspace_.corrupted.data(),
                                .y = y});
}

std::int64_t GradientPath::copy_of(End end) const {
  const auto found =
      std::find(points_.alphas.begin(), points_.alphas.end(), end == End::clean ? 1.0f : 0.0f);
  return found - points_.alphas.begin();
}

void GradientPath::run(const PathGroup& group, const RunControl& control) {
  const ModelConfig& config = engine_.config();
  sink_.stop_input_gradient(points_.activations && group.group == SourceGroup::input);
  ForwardInputs inputs;
  inputs.prefix = &block_.prefix();
  inputs.rotary = &block_.rotary();
  inputs.wanted = &wanted_;
  if (group.group == SourceGroup::input) {
    interpolate_ends(block_.ends().embedding(), config.hidden, workspace_.path.data());
    inputs.embeddings = workspace_.path.data();
  } else if (group.group == SourceGroup::mlp) {
    interpolate_ends(block_.ends().layer(group.layer).mlp_out, config.hidden,
                     workspace_.path.data());
    inputs.mlp_layer = group.layer;
    inputs.mlp_output = workspace_.path.data();
  } else {
    interpolate_ends(block_.ends().layer(group.layer).written, config.heads * config.head_dim,
                     workspace_.path.data());
    inputs.attention_layer = group.layer;
    inputs.written = workspace_.path.data();
  }
  run_forward(engine_, batch_, inputs, workspace_.trace, control);
  const std::vector<End> ends =
      group.group == SourceGroup::input ? points_.ends : std::vector<End>();
  for (const End end : ends) block_.take_end(engine_, end, workspace_.trace, copy_of(end));
  workspace_.backward.d_residual.zero();
  const std::vector<float> d_value(static_cast<std::size_t>(batch_.rows()),
                                   loss_sign(block_.metric()) * points_.weight);
  MetricRun metric;
  metric.metric = block_.metric();
  metric.rows = &supervised_;
  metric.final_residual = workspace_.trace.final_residual();
  metric.clean_logits = block_.clean_logits();
  metric.d_value = d_value;
  metric.d_final_residual = workspace_.backward.d_residual.data();
  const std::vector<float> values = run_metric(engine_, metric).value;
  for (const End end : ends) {
    const auto first = static_cast<std::size_t>(copy_of(end)) * block_.pairs();
    block_.set_metric(end, std::span(values).subspan(first, block_.pairs()));
  }
  run_backward(engine_, batch_, inputs, workspace_.trace, workspace_.backward, sink_, control);
}

std::int64_t GradientPath::floats_per_token(const Engine& engine, const Graph& graph,
                                            const PathPoints& points, HeadWrites writes) {
  const ModelConfig& config = engine.config();
  const auto copies = static_cast<std::int64_t>(points.alphas.size());
  const std::int64_t per_copy = Trace::floats_per_token(engine, trace_options(points)) +
                                BackwardWorkspace::floats_per_token(engine) +
                                3 * widest(config, points.activations);
  return copies * per_copy + 2 * Trace::floats_per_token(engine, {.sources = true}) +
         SourceDifferences::floats_per_token(engine, graph, writes) +
         EdgeScoreSink::floats_per_token(engine, graph);
}

}  // namespace headspark
