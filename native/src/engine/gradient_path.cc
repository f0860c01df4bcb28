// All points of all pairs are rows of one batch: copy c of a pair is its point alphas[c].
#include "engine/gradient_path.h"

#include <algorithm>

#include "headspark/ops/rows.h"

namespace headspark {
namespace {

std::int64_t widest(const ModelConfig& config, bool activations) {
  return activations ? std::max(config.hidden, config.heads * config.head_dim) : config.hidden;
}

TraceOptions trace_options(bool activations) {
  return {.gradients = true, .gated = activations};
}

std::vector<std::int32_t> end_index(const PairBlock& block, std::size_t copies) {
  std::vector<std::int32_t> index;
  for (std::size_t pair = 0; pair < block.pairs(); ++pair) {
    for (std::size_t copy = 0; copy < copies; ++copy) {
      for (std::int32_t t = 0; t < block.own_length(pair); ++t)
        index.push_back(block.begin(pair) + t);
    }
  }
  return index;
}

std::vector<float> token_alphas(const PairBlock& block, const std::vector<float>& alphas) {
  std::vector<float> values;
  for (std::size_t pair = 0; pair < block.pairs(); ++pair) {
    for (const float alpha : alphas) {
      values.insert(values.end(), static_cast<std::size_t>(block.own_length(pair)), alpha);
    }
  }
  return values;
}

}  // namespace

GradientPath::GradientPath(const Engine& engine, const Graph& graph, PairBlock& block,
                           BlockScores& scores, const PathPoints& points)
    : engine_(engine),
      block_(block),
      points_(points),
      batch_(engine.context, block.repeated_rows(static_cast<std::int64_t>(points.alphas.size()))),
      supervised_(block.supervised(static_cast<std::int64_t>(points.alphas.size()))),
      sink_(engine, graph, block, scores, static_cast<std::int64_t>(points.alphas.size())),
      trace_(engine, batch_.tokens(), trace_options(points.activations)),
      workspace_(engine, batch_.tokens()),
      end_index_(engine.context.backend,
                 std::span<const std::int32_t>(end_index(block, points.alphas.size()))),
      alpha_(engine.context.backend, std::span<const float>(token_alphas(block, points.alphas))) {
  const std::int64_t count = batch_.tokens() * widest(engine.config(), points.activations);
  clean_ = Buffer<float>(engine.context.backend, count);
  corrupted_ = Buffer<float>(engine.context.backend, count);
  path_ = Buffer<float>(engine.context.backend, count);
  no_heads_ = Buffer<float>(engine.context.backend, batch_.rows() * engine.config().heads);
  no_heads_.zero();
}

void GradientPath::interpolate_ends(const float* ends, std::int64_t width, float* y) {
  const std::int64_t tokens = batch_.tokens();
  gather_rows(engine_.context, tokens, width, end_index_.data(), ends, clean_.data());
  gather_rows(engine_.context, tokens, width, end_index_.data(), ends + block_.tokens() * width,
              corrupted_.data());
  interpolate(engine_.context, {.rows = tokens,
                                .width = width,
                                .alpha = alpha_.data(),
                                .clean = clean_.data(),
                                .corrupted = corrupted_.data(),
                                .y = y});
}

void GradientPath::run(const PathGroup& group, const RunControl& control) {
  const ModelConfig& config = engine_.config();
  sink_.stop_input_gradient(points_.activations && group.group == SourceGroup::input);
  ForwardInputs inputs;
  inputs.prefix = &block_.prefix();
  inputs.rotary = &block_.rotary();
  if (group.group == SourceGroup::input) {
    interpolate_ends(block_.ends().embedding(), config.hidden, path_.data());
    inputs.embeddings = path_.data();
  } else if (group.group == SourceGroup::mlp) {
    interpolate_ends(block_.ends().layer(group.layer).mlp_out, config.hidden, path_.data());
    inputs.mlp_layer = group.layer;
    inputs.mlp_output = path_.data();
  } else {
    interpolate_ends(block_.ends().layer(group.layer).z, config.heads * config.head_dim,
                     path_.data());
    inputs.gates.resize(static_cast<std::size_t>(config.layers));
    HeadGate& gate = inputs.gates[static_cast<std::size_t>(group.layer)];
    gate.scale = no_heads_.data();
    gate.kind = Replacement::token;
    gate.replacement = path_.data();
    gate.replacement_begin = batch_.row_begin();
  }
  run_forward(engine_, batch_, inputs, trace_, control);
  workspace_.d_residual.zero();
  const std::vector<float> d_value(static_cast<std::size_t>(batch_.rows()),
                                   loss_sign(block_.metric()) * points_.weight);
  MetricRun metric;
  metric.metric = block_.metric();
  metric.rows = &supervised_;
  metric.final_residual = trace_.final_residual();
  metric.clean_logits = block_.clean_logits();
  metric.d_value = d_value;
  metric.d_final_residual = workspace_.d_residual.data();
  run_metric(engine_, metric);
  run_backward(engine_, batch_, inputs, trace_, workspace_, sink_, control);
}

std::int64_t GradientPath::floats_per_token(const Engine& engine, const Graph& graph,
                                            std::int64_t copies, bool activations) {
  const ModelConfig& config = engine.config();
  const std::int64_t per_copy = Trace::floats_per_token(config, trace_options(activations)) +
                                BackwardWorkspace::floats_per_token(config) +
                                3 * widest(config, activations);
  return copies * per_copy + 2 * Trace::floats_per_token(config, {.sources = true}) +
         (graph.sources() + graph.layer_columns()) * config.hidden;
}

}  // namespace headspark
