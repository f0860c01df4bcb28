// The runs at both ends of the integrated-gradient path, with the shared prompt computed once.
#include "engine/pair_block.h"

#include <algorithm>

#include "engine/output_rows.h"
#include "headspark/ops/edge_contraction.h"
#include "headspark/ops/embedding.h"
#include "headspark/ops/linear_each.h"
#include "headspark/ops/norm.h"
#include "headspark/ops/rows.h"

namespace headspark {

PairBlock::PairBlock(const Engine& engine, std::span<const Pair> pairs, const Options& options,
                     const RotaryTables& rotary, const RunControl& control)
    : pairs_(pairs),
      metric_(options.metric),
      rotary_(rotary),
      begin_{0},
      ends_(engine, 0, TraceOptions()) {
  std::int32_t stored = 0;
  for (const Pair& pair : pairs) {
    clean_.push_back(fed_tokens(pair, false));
    corrupted_.push_back(fed_tokens(pair, true));
    const std::int32_t prefix = options.share_prefix ? shared_prefix(pair, metric_) : 0;
    prefix_length_.push_back(prefix);
    prefix_begin_.push_back(stored);
    stored += prefix;
    begin_.push_back(begin_.back() + static_cast<std::int32_t>(clean_.back().size()) - prefix);
  }
  run_prefixes(engine, control);
  embed_ends(engine);
  std::vector<End> ends;
  for (const End end : {End::clean, End::corrupted}) {
    if (std::find(options.given.begin(), options.given.end(), end) == options.given.end()) {
      ends.push_back(end);
    }
  }
  if (!ends.empty()) run_ends(engine, ends, options.all_positions, control);
}

void PairBlock::run_prefixes(const Engine& engine, const RunControl& control) {
  BatchRows rows;
  for (std::size_t i = 0; i < pairs(); ++i) {
    if (prefix_length_[i] == 0) continue;
    rows.add(std::span(clean_[i]).first(static_cast<std::size_t>(prefix_length_[i])));
  }
  if (rows.rows() == 0) return;
  const std::int64_t tokens = rows.token_count();
  const Batch batch(engine.context, std::move(rows));
  Trace trace(engine, tokens, {.keys_values = true});
  // Nobody reads the last layer's output.
  const std::vector<std::int32_t> none(static_cast<std::size_t>(batch.rows()), 0);
  const WantedTokens wanted(engine.context, batch.host(), none);
  run_forward(engine, batch, {.rotary = &rotary_, .wanted = &wanted}, trace, control);
  prefix_ = make_kv_store(engine, tokens);
  const std::int64_t width = engine.config().kv_heads * engine.config().head_dim;
  for (std::int64_t layer = 0; layer < engine.config().layers; ++layer) {
    const auto index = static_cast<std::size_t>(layer);
    const std::int64_t count = tokens * width;
    combine(engine.context,
            {.count = count, .x = trace.layer(layer).k, .b = 0.0f, .y = prefix_.k[index].data()});
    combine(engine.context,
            {.count = count, .x = trace.layer(layer).v, .b = 0.0f, .y = prefix_.v[index].data()});
  }
}

BatchRows PairBlock::end_rows(std::span<const End> ends) const {
  BatchRows rows;
  for (const End end : ends) {
    const auto& side = end == End::clean ? clean_ : corrupted_;
    for (std::size_t i = 0; i < pairs(); ++i) {
      rows.add(std::span(side[i]).subspan(static_cast<std::size_t>(prefix_length_[i])),
               prefix_begin_[i], prefix_length_[i]);
    }
  }
  return rows;
}

void PairBlock::embed_ends(const Engine& engine) {
  constexpr End kBoth[] = {End::clean, End::corrupted};
  const Batch batch(engine.context, end_rows(kBoth));
  ends_ = Trace(engine, 2 * tokens(), {.sources = true});
  embedding_forward(engine.context, {.table = &engine.model->embedding,
                                     .indices = batch.token_ids(),
                                     .tokens = batch.tokens(),
                                     .y = ends_.embedding(),
                                     .scale = engine.config().embedding_scale});
}

void PairBlock::run_ends(const Engine& engine, std::span<const End> ends, bool all_positions,
                         const RunControl& control) {
  const Batch batch(engine.context, end_rows(ends));
  SupervisedRows rows = supervised(static_cast<std::int64_t>(ends.size()));
  const WantedTokens wanted(engine.context, batch.host(), rows.counts());
  if (!all_positions) rows.pack();
  const bool both = ends.size() == 2;
  Trace one(engine, both ? 0 : tokens(), {.sources = true});
  Trace& trace = both ? ends_ : one;
  run_forward(engine, batch,
              {.prefix = &prefix_, .rotary = &rotary_, .wanted = all_positions ? nullptr : &wanted},
              trace, control);
  if (!both) take_end(engine, ends.front(), trace, 0);
  if (metric_ == Metric::kl) keep_clean_logits(engine, rows, trace.final_residual());
  MetricRun run;
  run.metric = metric_;
  run.rows = &rows;
  run.final_residual = trace.final_residual();
  run.clean_logits = clean_logits_.data();
  const std::vector<float> values = run_metric(engine, run).value;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    set_metric(ends[i], std::span(values).subspan(i * pairs(), pairs()));
  }
}

/// The clean rows come first, with one supervised token each.
void PairBlock::keep_clean_logits(const Engine& engine, const SupervisedRows& rows,
                                  const float* final_residual) {
  clean_logits_ = Buffer<float>(engine.context.backend,
                                static_cast<std::int64_t>(pairs()) * engine.config().vocab);
  run_logits(engine, final_residual, std::span(rows.token).first(pairs()), clean_logits_.data());
}

void PairBlock::take_end(const Engine& engine, End end, const Trace& trace, std::int64_t copy) {
  const ModelConfig& config = engine.config();
  const auto take = [&](float* LayerTrace::*member, std::int64_t width, std::int64_t layer) {
    const std::int64_t count = tokens() * width;
    combine(engine.context, {.count = count,
                             .x = trace.layer(layer).*member + copy * count,
                             .b = 0.0f,
                             .y = ends_.layer(layer).*member + (end == End::clean ? 0 : count)});
  };
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    take(&LayerTrace::written, config.heads * config.head_dim, layer);
    take(&LayerTrace::mlp_out, config.hidden, layer);
  }
}

void PairBlock::set_metric(End end, std::span<const float> values) {
  std::vector<float>& metric = end == End::clean ? clean_metric_ : corrupted_metric_;
  metric.assign(values.begin(), values.end());
}

BatchRows PairBlock::repeated_rows(std::int64_t copies) const {
  BatchRows rows;
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    for (std::size_t i = 0; i < pairs(); ++i) {
      rows.add(std::span(clean_[i]).subspan(static_cast<std::size_t>(prefix_length_[i])),
               prefix_begin_[i], prefix_length_[i]);
    }
  }
  return rows;
}

SupervisedRows PairBlock::supervised(std::int64_t copies) const {
  SupervisedRows rows;
  std::int32_t end = 0;
  for (std::int64_t copy = 0; copy < copies; ++copy) {
    for (std::size_t i = 0; i < pairs(); ++i) {
      end += own_length(i);
      rows.add(pairs_[i], metric_, end - 1, static_cast<std::int32_t>(i));
    }
  }
  return rows;
}

namespace {

/// z_head W_O[head]ᵀ of some heads.
void multiply_heads(const Engine& engine, std::int64_t layer, std::int64_t tokens, const float* z,
                    std::span<const HeadWrite> heads, DType type) {
  const ModelConfig& config = engine.config();
  LinearEach writes;
  for (const HeadWrite& head : heads) {
    LinearForward write;
    write.weight = &engine.model->layers[static_cast<std::size_t>(layer)].o;
    write.slice.in_begin = head.head * config.head_dim;
    write.slice.in_end = write.slice.in_begin + config.head_dim;
    write.tokens = tokens;
    write.x = z + head.head * config.head_dim;
    write.x_stride = config.heads * config.head_dim;
    write.y = head.y;
    write.y_stride = config.hidden;
    write.with_bias = false;
    write.type = type;
    writes.layers.push_back(write);
  }
  linear_forward_each(engine.context, writes);
}

}  // namespace

void expand_head_writes(const Engine& engine, std::int64_t layer, std::int64_t tokens,
                        const float* written, std::span<const HeadWrite> heads, DType type) {
  const NormWeight& gain = engine.model->layers[static_cast<std::size_t>(layer)].head_write_gain;
  if (gain.empty()) return multiply_heads(engine, layer, tokens, written, heads, type);
  if (type == DType::f32) {
    multiply_heads(engine, layer, tokens, written, heads, type);
    for (const HeadWrite& head : heads) {
      norm_forward(engine.context, whole_rows(gain, tokens, head.y, head.y));
    }
    return;
  }
  // Rounded once, after the gain.
  Buffer<float> one(engine.context.backend, tokens * engine.config().hidden);
  for (const HeadWrite& head : heads) {
    const HeadWrite unrounded[] = {{head.head, one.data()}};
    multiply_heads(engine, layer, tokens, written, unrounded, DType::f32);
    norm_forward(engine.context, whole_rows(gain, tokens, one.data(), one.data()));
    combine(engine.context,
            {.count = one.size(), .x = one.data(), .b = 0.0f, .y = head.y, .type = type});
  }
}

void expand_head_writes(const Engine& engine, std::int64_t layer, std::int64_t tokens,
                        const float* written, float* writes, std::int64_t stride, DType type) {
  std::vector<HeadWrite> heads;
  for (std::int64_t head = 0; head < engine.config().heads; ++head) {
    heads.push_back({head, element_in(writes, head * stride, type)});
  }
  expand_head_writes(engine, layer, tokens, written, heads, type);
}

void subtract_ends(const Engine& engine, const float* ends, std::int64_t count, float* to,
                   DType type) {
  combine(engine.context, {.count = count,
                           .a = 1.0f,
                           .x = ends + count,
                           .b = -1.0f,
                           .y = to,
                           .base = ends,
                           .type = type});
}

namespace {

/// Writes of the clean run, or the corrupted run's minus those.
Buffer<float> collect_writes(const Engine& engine, const Graph& graph, PairBlock& block,
                             bool differences) {
  const ModelConfig& config = engine.config();
  const std::int64_t tokens = block.tokens();
  const std::int64_t stride = tokens * config.hidden;
  const std::int64_t z_width = config.heads * config.head_dim;
  const DType type = differences ? contracted_type(engine.context, config.hidden) : DType::f32;
  Buffer<float> writes(engine.context.backend, floats_for(graph.sources() * stride, type));
  const auto of_source = [&](std::int64_t source) {
    return element_in(writes.data(), source * stride, type);
  };
  Buffer<float> z(engine.context.backend, tokens * z_width);
  const auto take = [&](const float* ends, std::int64_t width, float* to, DType as) {
    const std::int64_t count = tokens * width;
    if (differences) {
      subtract_ends(engine, ends, count, to, as);
    } else {
      combine(engine.context, {.count = count, .x = ends, .b = 0.0f, .y = to});
    }
  };
  take(block.ends().embedding(), config.hidden, of_source(0), type);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const LayerTrace& trace = block.ends().layer(layer);
    take(trace.written, z_width, z.data(), DType::f32);
    expand_head_writes(engine, layer, tokens, z.data(), of_source(graph.head_source(layer, 0)),
                       stride, type);
    take(trace.mlp_out, config.hidden, of_source(graph.mlp_source(layer)), type);
  }
  return writes;
}

}  // namespace

Buffer<float> source_differences(const Engine& engine, const Graph& graph, PairBlock& block) {
  return collect_writes(engine, graph, block, true);
}

Buffer<float> clean_writes(const Engine& engine, const Graph& graph, PairBlock& block) {
  return collect_writes(engine, graph, block, false);
}

}  // namespace headspark
