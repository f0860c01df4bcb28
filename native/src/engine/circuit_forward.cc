// Per layer: sum the edges into each q, k and v input, project head by head, attend, expand the
// heads' writes, then the MLP the same way. Nodes that nobody reads are skipped.
#include "engine/circuit_forward.h"

#include <algorithm>

#include "engine/kv_heads.h"
#include "engine/mlp_weights.h"
#include "headspark/ops/attention.h"
#include "headspark/ops/embedding.h"
#include "headspark/ops/linear_each.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

// Layers whose inputs are summed at once from the writes below the lowest of them, which are many
// times what caches hold. More would take more memory for streams than they save in traffic.
constexpr std::int64_t kGroupLayers = 3;

}  // namespace

/// One of q, k, v of a layer: `count` heads; head i, if it is among the nodes, reads the next
/// stream through the norm and rows (i / share) * head_dim … of the weight.
struct CircuitForward::Projection {
  std::int64_t layer;
  const LinearWeight* weight;
  const NormWeight* head_norm;  ///< null or empty: none (v has none, and is not rotated)
  bool rotate;
  std::int64_t first_column;
  std::int64_t count;
  std::int64_t share;
  float* out;  ///< [tokens, count, head_dim]
};

CircuitForward::CircuitForward(const Engine& engine, const Graph& graph, PairBlock& block,
                               ReferenceRun reference)
    : engine_(engine),
      graph_(graph),
      block_(block),
      batch_(engine.context, block.repeated_rows(1)),
      supervised_(block.supervised(1)),
      supervised_tokens_(engine.context.backend, std::span<const std::int32_t>(supervised_.token)),
      stride_(block.tokens() * engine.config().hidden),
      reference_(std::move(reference)) {
  const ModelConfig& config = engine.config();
  const auto make = [&](std::int64_t count) {
    return Buffer<float>(engine.context.backend, count);
  };
  const std::int64_t width = block.tokens() * config.heads * config.head_dim;
  differences_ = make(graph.sources() * stride_);
  streams_ = make(kGroupLayers * graph.layer_columns() * stride_);
  normed_ = make(stride_);
  q_ = make(width);
  k_ = make(width);
  v_ = make(width);
  z_ = make(width);
  // Heads that are not read keep what stands here, and are computed with and closed.
  for (Buffer<float>* heads : {&q_, &k_, &v_}) heads->zero();
  gate_ = make(block.tokens() * config.intermediate);
  if (config.gated_mlp) up_ = make(block.tokens() * config.intermediate);
  mask_ = Buffer<std::uint8_t>(engine.context.backend, graph.sources() * graph.destinations());
  head_scales_ = make(graph.layers * batch_.rows() * graph.heads);
  build_base();
}

/// stream += writes, [tokens, hidden]
void CircuitForward::add(const float* writes, float* stream) {
  combine(engine_.context, {.count = stride_, .x = writes, .y = stream});
}

/// What all heads of a layer write in the reference run, bias included.
void CircuitForward::add_reference_heads(std::int64_t layer, float* stream) {
  const LayerWeights& weights = engine_.model->layers[static_cast<std::size_t>(layer)];
  const std::int64_t tokens = block_.tokens();
  if (reference_.empty()) {
    if (!weights.o.bias.empty()) add(repeat_row(engine_, weights.o.bias, tokens).data(), stream);
    return;
  }
  const float* const written = reference_.written(layer);
  LinearForward writes = whole_layer(weights.o, tokens, written, stream);
  if (weights.head_write_gain.empty()) {
    writes.residual = stream;
    return linear_forward(engine_.context, writes);
  }
  writes.y = normed_.data();
  linear_forward(engine_.context, writes);
  norm_forward(engine_.context,
               whole_rows(weights.head_write_gain, tokens, normed_.data(), normed_.data()));
  add(normed_.data(), stream);
}

void CircuitForward::build_base() {
  const Context& context = engine_.context;
  Buffer<float> stream(context.backend, stride_);
  stream.zero();
  if (engine_.config().learned_positions) {
    embedding_forward(context, {.table = &engine_.model->position_embedding,
                                .indices = batch_.positions(),
                                .tokens = block_.tokens(),
                                .y = stream.data()});
  }
  const auto keep = [&](const float* from) {
    base_.emplace_back(context.backend, stride_);
    combine(context, {.count = stride_, .x = from, .b = 0.0f, .y = base_.back().data()});
  };
  if (!reference_.empty()) add(reference_.embedding(), stream.data());
  for (std::int64_t layer = 0; layer < graph_.layers; ++layer) {
    keep(stream.data());
    add_reference_heads(layer, stream.data());
    keep(graph_.parallel_block ? base_.back().data() : stream.data());
    if (!reference_.empty()) add(reference_.mlp(layer), stream.data());
  }
  keep(stream.data());
}

/// y -= reference, [tokens, width]
void CircuitForward::subtract(const float* reference, std::int64_t width, float* y) {
  combine(engine_.context, {.count = block_.tokens() * width, .a = -1.0f, .x = reference, .y = y});
}

void CircuitForward::use_nodes(std::span<const std::uint8_t> mask) {
  Backend& backend = *engine_.context.backend;
  nodes_.emplace(graph_, mask, engine_.config().norms_writes());
  backend.copy_to_device(mask_.data(), nodes_->mask().data(), std::ssize(nodes_->mask()));
  std::vector<float> scales;
  for (std::int64_t layer = 0; layer < graph_.layers; ++layer) {
    for (std::int64_t row = 0; row < batch_.rows(); ++row) {
      for (std::int64_t head = 0; head < graph_.heads; ++head) {
        scales.push_back(nodes_->head(layer, head) ? 1.0f : 0.0f);
      }
    }
  }
  backend.copy_to_device(head_scales_.data(), scales.data(), head_scales_.bytes());
}

/// What the nodes' columns from first_column on and before end_column read of some sources; where
/// to is the caller's.
EdgeSum CircuitForward::edges_into(std::int64_t first_column, std::int64_t end_column,
                                   std::int64_t first_source, std::int64_t end_source) {
  const std::int64_t first = nodes_->place(first_column);
  return {.sources = end_source - first_source,
          .destinations = nodes_->place(end_column) - first,
          .length = stride_,
          .mask = mask_.data() + first_source * nodes_->columns() + first,
          .mask_stride = nodes_->columns(),
          .difference = difference(first_source),
          .difference_stride = stride_,
          .y_stride = stride_};
}

float* CircuitForward::streams(std::int64_t layer) {
  return streams_.data() + (layer - group_) * graph_.layer_columns() * stride_;
}

/// What a layer's attention and MLP read of some sources, added to its streams.
std::array<EdgeSum, 2> CircuitForward::layer_edges(std::int64_t layer, std::int64_t first_source,
                                                   std::int64_t end_source) {
  const std::int64_t mlp = graph_.mlp_column(layer);
  std::array<EdgeSum, 2> sums = {
      edges_into(graph_.q_column(layer, 0), mlp, first_source, end_source),
      edges_into(mlp, mlp + 1, first_source, end_source)};
  sums[0].y = streams(layer);
  sums[1].y = mlp_stream(layer);
  return sums;
}

/// The inputs of a group's layers as far as the layers below the group write them.
void CircuitForward::begin_group(std::int64_t first_layer) {
  group_ = first_layer;
  std::vector<EdgeSum> sums;
  const std::int64_t end = std::min(first_layer + kGroupLayers, graph_.layers);
  for (std::int64_t layer = first_layer; layer < end; ++layer) {
    auto base = base_.begin() + 2 * layer;
    for (EdgeSum& sum : layer_edges(layer, 0, graph_.sources_of_attention(first_layer))) {
      sum.base = (base++)->data();
      sums.push_back(sum);
    }
  }
  edge_sum(engine_.context, sums);
}

/// What the group's layers below `layer` add to its inputs.
void CircuitForward::add_group(std::int64_t layer) {
  edge_sum(engine_.context, layer_edges(layer, graph_.sources_of_attention(group_),
                                        graph_.sources_of_attention(layer)));
}

/// Adds the heads of a projection that are read, the first of them at the layer's stream `slot`.
void CircuitForward::add_heads(const Projection& projection, std::int64_t& slot,
                               std::vector<LinearForward>& heads) {
  const ModelConfig& config = engine_.config();
  for (std::int64_t head = 0; head < projection.count; ++head) {
    if (!nodes_->has_column(projection.first_column + head)) continue;
    LinearForward params;
    params.weight = projection.weight;
    params.slice.out_begin = head / projection.share * config.head_dim;
    params.slice.out_end = params.slice.out_begin + config.head_dim;
    params.tokens = block_.tokens();
    params.x = streams(projection.layer) + slot++ * stride_;
    params.x_stride = config.hidden;
    params.y = projection.out + head * config.head_dim;
    params.y_stride = projection.count * config.head_dim;
    heads.push_back(params);
  }
}

/// What comes after the products.
void CircuitForward::finish_heads(const Projection& projection) {
  const ModelConfig& config = engine_.config();
  const std::int64_t tokens = block_.tokens();
  if (projection.head_norm != nullptr && !projection.head_norm->empty()) {
    const NormWeight& norm = *projection.head_norm;
    const auto width = static_cast<std::int64_t>(norm.weight.size());  // of a head, or of all
    const std::int64_t rows = tokens * projection.count * config.head_dim / width;
    norm_forward(engine_.context, whole_rows(norm, rows, projection.out, projection.out));
  }
  const RotaryTable& table = block_.rotary().of(config, projection.layer);
  if (projection.rotate && table.pairs > 0 && config.rotates(projection.layer)) {
    rotary_forward(engine_.context, {.table = &table,
                                     .positions = batch_.positions(),
                                     .tokens = tokens,
                                     .heads = projection.count,
                                     .head_dim = config.head_dim,
                                     .x = projection.out,
                                     .scale = config.rotated_scale(projection.layer)});
  }
}

void CircuitForward::project(std::int64_t layer, std::int64_t kv_count, std::int64_t share) {
  const LayerWeights& weights = engine_.model->layers[static_cast<std::size_t>(layer)];
  const NormWeight& k_norm = kv_count == graph_.heads ? weights.k_norm_each : weights.k_norm;
  const Projection projections[] = {
      {layer, &weights.q, &weights.q_norm, true, graph_.q_column(layer, 0), graph_.heads, 1,
       q_.data()},
      {layer, &weights.k, &k_norm, true, graph_.k_column(layer, 0), kv_count, share, k_.data()},
      {layer, &weights.v, nullptr, false, graph_.v_column(layer, 0), kv_count, share, v_.data()}};
  LinearEach heads{.norm = &weights.attention_norm, .layers = {}, .normed = normed_.data()};
  std::int64_t slot = 0;
  for (const Projection& projection : projections) add_heads(projection, slot, heads.layers);
  linear_forward_each(engine_.context, heads);
  for (const Projection& projection : projections) finish_heads(projection);
}

/// The stored keys and values of the shared prompt; in per-query-head mode each query head gets its
/// own copy of its group's.
void CircuitForward::add_prefix(std::int64_t layer, AttentionForward& params) {
  const auto index = static_cast<std::size_t>(layer);
  const Buffer<float>& k = block_.prefix().k[index];
  const Buffer<float>& v = block_.prefix().v[index];
  if (params.shape.kv_heads == engine_.config().kv_heads) {
    params.prefix_k = k.data();
    params.prefix_v = v.data();
    return;
  }
  const ModelConfig& config = engine_.config();
  const std::int64_t tokens = k.size() / (config.kv_heads * config.head_dim);
  if (prefix_k_.empty()) {
    prefix_k_ = Buffer<float>(engine_.context.backend, tokens * config.heads * config.head_dim);
    prefix_v_ = Buffer<float>(engine_.context.backend, prefix_k_.size());
  }
  repeat_kv_heads(engine_, tokens, k.data(), prefix_k_.data());
  repeat_kv_heads(engine_, tokens, v.data(), prefix_v_.data());
  params.prefix_k = prefix_k_.data();
  params.prefix_v = prefix_v_.data();
}

/// Closed on the heads that nobody reads, whose inputs are not summed.
HeadGate CircuitForward::read_heads(std::int64_t layer) const {
  if (nodes_->heads(layer) == graph_.heads) return {};
  return {.scale = head_scales_.data() + layer * batch_.rows() * graph_.heads};
}

/// Makes z what is written of it, given the norm that stands after all heads of a layer.
void CircuitForward::scale_writes(std::int64_t layer) {
  const LayerWeights& weights = engine_.model->layers[static_cast<std::size_t>(layer)];
  const std::int64_t tokens = block_.tokens();
  linear_forward(engine_.context, whole_layer(weights.o, tokens, z_.data(), normed_.data()));
  norm_scale(engine_.context, {.norm = &weights.attention_post_norm,
                               .rows = tokens,
                               .x = normed_.data(),
                               .z = z_.data(),
                               .parts_width = weights.o.in(),
                               .y = z_.data()});
}

void CircuitForward::attention(std::int64_t layer) {
  const ModelConfig& config = engine_.config();
  const bool grouped = graph_.kv_edges == KvEdges::grouped;
  const std::int64_t count = graph_.kv_columns();
  project(layer, count, grouped ? 1 : config.heads / config.kv_heads);
  AttentionForward params;
  params.shape = attention_shape(config, layer, count);
  params.layout = batch_.layout();
  params.q = q_.data();
  params.k = k_.data();
  params.v = v_.data();
  if (!block_.prefix().empty()) add_prefix(layer, params);
  params.gate = read_heads(layer);
  params.z = z_.data();
  attention_forward(engine_.context, params);
  if (config.norms_writes()) scale_writes(layer);
  // What heads write is linear in z: its difference is the write of the difference.
  if (!reference_.empty()) {
    subtract(reference_.written(layer), config.heads * config.head_dim, z_.data());
  }
  std::vector<HeadWrite> writes;
  for (std::int64_t head = 0; head < graph_.heads; ++head) {
    if (!nodes_->head(layer, head)) continue;
    writes.push_back({head, difference(graph_.head_source(layer, head))});
  }
  expand_head_writes(engine_, layer, block_.tokens(), z_.data(), writes);
}

void CircuitForward::mlp(std::int64_t layer) {
  const ModelConfig& config = engine_.config();
  const LayerWeights& weights = engine_.model->layers[static_cast<std::size_t>(layer)];
  const std::int64_t tokens = block_.tokens();
  // This layer's heads, where they come before its MLP.
  const std::int64_t mlp = graph_.mlp_column(layer);
  EdgeSum own =
      edges_into(mlp, mlp + 1, graph_.sources_of_attention(layer), graph_.sources_of_mlp(layer));
  own.y = mlp_stream(layer);
  edge_sum(engine_.context, own);
  MlpForward params;
  params.weights = mlp_weights(config, weights);
  params.tokens = tokens;
  params.x = mlp_stream(layer);
  params.y = difference(graph_.mlp_source(layer));
  params.gate = gate_.data();
  params.up = config.gated_mlp ? up_.data() : nullptr;
  params.keep_inputs = false;
  params.normed = normed_.data();
  params.hidden = gate_.data();  // the nonlinearity works in place
  mlp_forward(engine_.context, params);
  if (config.post_norm) {
    norm_forward(engine_.context, whole_rows(weights.mlp_post_norm, tokens, params.y, params.y));
  }
  if (!reference_.empty()) subtract(reference_.mlp(layer), config.hidden, params.y);
}

/// The final residual stream of the supervised tokens is all that the metric reads.
std::vector<float> CircuitForward::metric() {
  const std::int64_t hidden = engine_.config().hidden;
  const std::int64_t logits = graph_.logits_column();
  EdgeSum sum = edges_into(logits, logits, 0, graph_.sources());
  sum.destinations = 1;
  sum.length = supervised_.logits_rows() * hidden;
  sum.index = supervised_tokens_.data();
  sum.width = hidden;
  sum.base = base_.back().data();
  sum.y = streams_.data();
  edge_sum(engine_.context, sum);
  MetricRun run;
  run.metric = block_.metric();
  run.rows = &supervised_;
  run.final_residual = streams_.data();
  run.clean_logits = block_.clean_logits();
  return run_metric(engine_, run).value;
}

std::vector<float> CircuitForward::run(std::span<const std::uint8_t> mask,
                                       const RunControl& control, std::int64_t first_layer) {
  use_nodes(mask);
  if (first_layer == 0) {
    const float* embedding = block_.ends().embedding();
    combine(engine_.context, {.count = stride_, .x = embedding, .b = 0.0f, .y = difference(0)});
    if (!reference_.empty()) {
      subtract(reference_.embedding(), engine_.config().hidden, difference(0));
    }
  }
  for (std::int64_t layer = first_layer; layer < graph_.layers; ++layer) {
    control.check();
    if ((layer - first_layer) % kGroupLayers == 0) {
      begin_group(layer);
    } else {
      add_group(layer);
    }
    if (nodes_->heads(layer) > 0) attention(layer);
    if (nodes_->mlp(layer)) mlp(layer);
  }
  return metric();
}

std::int64_t CircuitForward::floats_per_token(const Engine& engine, const Graph& graph) {
  const ModelConfig& config = engine.config();
  const std::int64_t streams =
      graph.sources() + kGroupLayers * graph.layer_columns() + 2 * graph.layers + 2;
  // Both ends, and means.
  return streams * config.hidden + 4 * config.heads * config.head_dim + 2 * config.intermediate +
         3 * Trace::floats_per_token(engine, {.sources = true});
}

}  // namespace headspark
