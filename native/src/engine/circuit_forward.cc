// Per layer: sum the edges into each q, k and v input, project head by head, attend, expand the
// heads' writes, then the MLP the same way. Sources without a circuit edge are skipped.
#include "engine/circuit_forward.h"

#include <algorithm>

#include "headspark/ops/attention.h"
#include "headspark/ops/edge_sum.h"
#include "headspark/ops/embedding.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/mlp.h"
#include "headspark/ops/rows.h"

namespace headspark {

/// One of q, k, v of a layer: `count` heads, head i reads stream `slot + i` through rows
/// (i / share) * head_dim … of the weight.
struct CircuitForward::Projection {
  std::int64_t layer;
  const LinearWeight* weight;
  const NormWeight* head_norm;  ///< null or empty: none (v has none, and is not rotated)
  bool rotate;
  std::int64_t slot;
  std::int64_t count;
  std::int64_t share;
  float* out;  ///< [tokens, count, head_dim]
};

CircuitForward::CircuitForward(const Engine& engine, const Graph& graph, PairBlock& block,
                               Buffer<float> reference)
    : engine_(engine),
      graph_(graph),
      block_(block),
      batch_(engine.context, block.repeated_rows(1)),
      supervised_(block.supervised(1)),
      stride_(block.tokens() * engine.config().hidden),
      reference_(std::move(reference)) {
  const ModelConfig& config = engine.config();
  const auto make = [&](std::int64_t count) {
    return Buffer<float>(engine.context.backend, count);
  };
  const std::int64_t width = block.tokens() * config.heads * config.head_dim;
  differences_ = make(graph.sources() * stride_);
  streams_ = make((graph.layer_columns() - 1) * stride_);
  normed_ = make(stride_);
  q_ = make(width);
  k_ = make(width);
  v_ = make(width);
  z_ = make(width);
  if (config.qk_norm) head_raw_ = make(width);
  gate_ = make(block.tokens() * config.intermediate);
  if (config.gated_mlp) up_ = make(block.tokens() * config.intermediate);
  mask_ = Buffer<std::uint8_t>(engine.context.backend, graph.sources() * graph.destinations());
  build_base();
}

void CircuitForward::add_broadcast(const std::vector<float>& row, float* y) {
  if (row.empty()) return;
  const std::int64_t hidden = engine_.config().hidden;
  const Buffer<float> one(engine_.context.backend, std::span<const float>(row));
  const std::vector<std::int32_t> zeros(static_cast<std::size_t>(block_.tokens()), 0);
  const Buffer<std::int32_t> index(engine_.context.backend, std::span<const std::int32_t>(zeros));
  gather_rows(engine_.context, block_.tokens(), hidden, index.data(), one.data(), normed_.data());
  combine(engine_.context, {.count = stride_, .x = normed_.data(), .y = y});
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
  const auto add_writes = [&](std::int64_t first, std::int64_t count) {
    if (reference_.empty()) return;
    for (std::int64_t source = first; source < first + count; ++source) {
      combine(context,
              {.count = stride_, .x = reference_.data() + source * stride_, .y = stream.data()});
    }
  };
  const auto keep = [&](const float* from) {
    base_.emplace_back(context.backend, stride_);
    combine(context, {.count = stride_, .x = from, .b = 0.0f, .y = base_.back().data()});
  };
  add_writes(0, 1);
  for (std::int64_t layer = 0; layer < graph_.layers; ++layer) {
    keep(stream.data());
    add_writes(graph_.head_source(layer, 0), graph_.heads);
    add_broadcast(engine_.model->layers[static_cast<std::size_t>(layer)].o.bias, stream.data());
    keep(graph_.parallel_block ? base_.back().data() : stream.data());
    add_writes(graph_.mlp_source(layer), 1);
  }
  keep(stream.data());
}

void CircuitForward::subtract_reference(std::int64_t first, std::int64_t count) {
  if (reference_.empty()) return;
  combine(engine_.context, {.count = count * stride_,
                            .a = -1.0f,
                            .x = reference_.data() + first * stride_,
                            .y = difference(first)});
}

void CircuitForward::sum_edges(std::int64_t first_column, std::int64_t columns,
                               std::int64_t sources, const float* base) {
  edge_sum(engine_.context, {.sources = sources,
                             .destinations = columns,
                             .length = stride_,
                             .mask = mask_.data() + first_column,
                             .mask_stride = graph_.destinations(),
                             .difference = differences_.data(),
                             .difference_stride = stride_,
                             .base = base,
                             .y = streams_.data(),
                             .y_stride = stride_});
}

void CircuitForward::project(const Projection& projection) {
  const ModelConfig& config = engine_.config();
  const std::int64_t tokens = block_.tokens();
  const bool normed = projection.head_norm != nullptr && !projection.head_norm->empty();
  float* raw = normed ? head_raw_.data() : projection.out;
  for (std::int64_t head = 0; head < projection.count; ++head) {
    norm_forward(
        engine_.context,
        {.norm = &engine_.model->layers[static_cast<std::size_t>(projection.layer)].attention_norm,
         .rows = tokens,
         .x = streams_.data() + (projection.slot + head) * stride_,
         .x_stride = config.hidden,
         .y = normed_.data(),
         .y_stride = config.hidden});
    LinearForward params;
    params.weight = projection.weight;
    params.slice.out_begin = head / projection.share * config.head_dim;
    params.slice.out_end = params.slice.out_begin + config.head_dim;
    params.tokens = tokens;
    params.x = normed_.data();
    params.x_stride = config.hidden;
    params.y = raw + head * config.head_dim;
    params.y_stride = projection.count * config.head_dim;
    linear_forward(engine_.context, params);
  }
  if (normed) {
    norm_forward(engine_.context, {.norm = projection.head_norm,
                                   .rows = tokens * projection.count,
                                   .x = raw,
                                   .x_stride = config.head_dim,
                                   .y = projection.out,
                                   .y_stride = config.head_dim});
  }
  if (projection.rotate && block_.rotary().pairs > 0) {
    rotary_forward(engine_.context, {.table = &block_.rotary(),
                                     .positions = batch_.positions(),
                                     .tokens = tokens,
                                     .heads = projection.count,
                                     .head_dim = config.head_dim,
                                     .x = projection.out});
  }
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
  const std::int64_t head_dim = engine_.config().head_dim;
  const std::int64_t share = engine_.config().heads / engine_.config().kv_heads;
  std::vector<std::int32_t> source;
  for (std::int64_t slot = 0; slot < k.size() / head_dim; ++slot) {
    source.insert(source.end(), static_cast<std::size_t>(share), static_cast<std::int32_t>(slot));
  }
  const Buffer<std::int32_t> rows(engine_.context.backend, std::span<const std::int32_t>(source));
  const auto count = static_cast<std::int64_t>(source.size());
  if (prefix_k_.empty()) {
    prefix_k_ = Buffer<float>(engine_.context.backend, count * head_dim);
    prefix_v_ = Buffer<float>(engine_.context.backend, count * head_dim);
  }
  gather_rows(engine_.context, count, head_dim, rows.data(), k.data(), prefix_k_.data());
  gather_rows(engine_.context, count, head_dim, rows.data(), v.data(), prefix_v_.data());
  params.prefix_k = prefix_k_.data();
  params.prefix_v = prefix_v_.data();
}

void CircuitForward::attention(std::int64_t layer) {
  const ModelConfig& config = engine_.config();
  const LayerWeights& weights = engine_.model->layers[static_cast<std::size_t>(layer)];
  const bool grouped = graph_.kv_edges == KvEdges::grouped;
  const std::int64_t count = graph_.kv_columns();
  const std::int64_t share = grouped ? 1 : config.heads / config.kv_heads;
  sum_edges(graph_.q_column(layer, 0), graph_.layer_columns() - 1,
            graph_.sources_of_attention(layer), base_[static_cast<std::size_t>(2 * layer)].data());
  project({layer, &weights.q, &weights.q_norm, true, 0, config.heads, 1, q_.data()});
  project({layer, &weights.k, &weights.k_norm, true, config.heads, count, share, k_.data()});
  project({layer, &weights.v, nullptr, false, config.heads + count, count, share, v_.data()});
  AttentionForward params;
  params.shape = {config.heads, count, config.head_dim, config.attention_scale};
  params.layout = batch_.layout();
  params.q = q_.data();
  params.k = k_.data();
  params.v = v_.data();
  if (!block_.prefix().empty()) add_prefix(layer, params);
  params.z = z_.data();
  attention_forward(engine_.context, params);
  expand_head_writes(engine_, layer, block_.tokens(), z_.data(),
                     difference(graph_.head_source(layer, 0)), stride_);
  subtract_reference(graph_.head_source(layer, 0), graph_.heads);
}

void CircuitForward::mlp(std::int64_t layer) {
  const ModelConfig& config = engine_.config();
  const LayerWeights& weights = engine_.model->layers[static_cast<std::size_t>(layer)];
  const std::int64_t tokens = block_.tokens();
  sum_edges(graph_.mlp_column(layer), 1, graph_.sources_of_mlp(layer),
            base_[static_cast<std::size_t>(2 * layer + 1)].data());
  MlpForward params;
  params.weights = mlp_weights(config, weights);
  params.tokens = tokens;
  params.x = streams_.data();
  params.y = difference(graph_.mlp_source(layer));
  params.gate = gate_.data();
  params.up = config.gated_mlp ? up_.data() : nullptr;
  params.keep_inputs = false;
  params.normed = normed_.data();
  params.hidden = gate_.data();  // the nonlinearity works in place
  mlp_forward(engine_.context, params);
  subtract_reference(graph_.mlp_source(layer), 1);
}

bool CircuitForward::used(std::span<const std::uint8_t> mask, std::int64_t first,
                          std::int64_t count) const {
  const auto begin = mask.begin() + first * graph_.destinations();
  return std::any_of(begin, begin + count * graph_.destinations(),
                     [](std::uint8_t edge) { return edge != 0; });
}

std::vector<float> CircuitForward::metric() {
  sum_edges(graph_.logits_column(), 1, graph_.sources(), base_.back().data());
  MetricRun run;
  run.metric = block_.metric();
  run.rows = &supervised_;
  run.final_residual = streams_.data();
  run.clean_logits = block_.clean_logits();
  return run_metric(engine_, run).value;
}

std::vector<float> CircuitForward::run(std::span<const std::uint8_t> mask,
                                       const RunControl& control) {
  engine_.context.backend->copy_to_device(mask_.data(), mask.data(), mask_.bytes());
  combine(engine_.context,
          {.count = stride_, .x = block_.ends().embedding(), .b = 0.0f, .y = difference(0)});
  subtract_reference(0, 1);
  for (std::int64_t layer = 0; layer < graph_.layers; ++layer) {
    control.check();
    if (used(mask, graph_.head_source(layer, 0), graph_.heads)) attention(layer);
    if (used(mask, graph_.mlp_source(layer), 1)) mlp(layer);
  }
  return metric();
}

std::int64_t CircuitForward::floats_per_token(const ModelConfig& config, const Graph& graph) {
  const std::int64_t streams = 2 * graph.sources() + graph.layer_columns() + 2 * graph.layers + 2;
  return streams * config.hidden + 5 * config.heads * config.head_dim + 2 * config.intermediate +
         2 * Trace::floats_per_token(config, {.sources = true});
}

}  // namespace headspark
