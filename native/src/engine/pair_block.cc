// The runs at both ends of the integrated-gradient path, with the shared prompt computed once.
#include "engine/pair_block.h"

#include "headspark/ops/linear.h"
#include "headspark/ops/rows.h"

namespace headspark {

PairBlock::PairBlock(const Engine& engine, std::span<const Pair> pairs, const Options& options,
                     const RotaryTable& rotary, const RunControl& control)
    : pairs_(pairs),
      metric_(options.metric),
      rotary_(rotary),
      begin_{0},
      ends_batch_(engine.context, BatchRows()),
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
  run_ends(engine, options.all_positions, control);
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

BatchRows PairBlock::end_rows() const {
  BatchRows rows;
  for (const auto* side : {&clean_, &corrupted_}) {
    for (std::size_t i = 0; i < pairs(); ++i) {
      rows.add(std::span((*side)[i]).subspan(static_cast<std::size_t>(prefix_length_[i])),
               prefix_begin_[i], prefix_length_[i]);
    }
  }
  return rows;
}

SupervisedRows PairBlock::supervised_ends() const {
  SupervisedRows rows;
  for (int side = 0; side < 2; ++side) {
    for (std::size_t i = 0; i < pairs(); ++i) {
      const auto last = static_cast<std::int32_t>(side * tokens()) + begin_[i + 1] - 1;
      rows.add(pairs_[i], metric_, last, static_cast<std::int32_t>(i));
    }
  }
  return rows;
}

void PairBlock::run_ends(const Engine& engine, bool all_positions, const RunControl& control) {
  ends_batch_ = Batch(engine.context, end_rows());
  ends_ = Trace(engine, 2 * tokens(), {.sources = true});
  SupervisedRows rows = supervised_ends();
  const WantedTokens wanted(engine.context, ends_batch_.host(), rows.counts());
  if (!all_positions) rows.pack();
  run_forward(engine, ends_batch_,
              {.prefix = &prefix_, .rotary = &rotary_, .wanted = all_positions ? nullptr : &wanted},
              ends_, control);
  MetricRun run;
  run.metric = metric_;
  run.rows = &rows;
  run.final_residual = ends_.final_residual();
  if (metric_ == Metric::kl) {
    std::vector<std::int32_t> clean_tokens(
        rows.token.begin(), rows.token.begin() + static_cast<std::ptrdiff_t>(pairs()));
    clean_logits_ = Buffer<float>(engine.context.backend,
                                  static_cast<std::int64_t>(pairs()) * engine.config().vocab);
    run_logits(engine, ends_.final_residual(), clean_tokens, clean_logits_.data());
    run.clean_logits = clean_logits_.data();
  }
  const std::vector<float> values = run_metric(engine, run).value;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(pairs());
  clean_metric_.assign(values.begin(), middle);
  corrupted_metric_.assign(middle, values.end());
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

void expand_head_writes(const Engine& engine, std::int64_t layer, std::int64_t tokens,
                        const float* z, float* writes, std::int64_t stride) {
  const ModelConfig& config = engine.config();
  for (std::int64_t head = 0; head < config.heads; ++head) {
    LinearForward params;
    params.weight = &engine.model->layers[static_cast<std::size_t>(layer)].o;
    params.slice.in_begin = head * config.head_dim;
    params.slice.in_end = params.slice.in_begin + config.head_dim;
    params.tokens = tokens;
    params.x = z + head * config.head_dim;
    params.x_stride = config.heads * config.head_dim;
    params.y = writes + head * stride;
    params.y_stride = config.hidden;
    params.with_bias = false;
    linear_forward(engine.context, params);
  }
}

namespace {

/// to[0 .. count) = b * base + x; with no base just x.
void take(const Engine& engine, const float* x, const float* minus, std::int64_t count, float* to) {
  combine(engine.context, {.count = count, .a = 1.0f, .x = x, .b = 0.0f, .y = to});
  if (minus == nullptr) return;
  combine(engine.context, {.count = count, .a = -1.0f, .x = minus, .b = 1.0f, .y = to});
}

/// Writes of side `plus` of the ends, minus those of side `minus` unless that is negative.
Buffer<float> collect_writes(const Engine& engine, const Graph& graph, PairBlock& block, int plus,
                             int minus) {
  const ModelConfig& config = engine.config();
  const std::int64_t tokens = block.tokens();
  const std::int64_t stride = tokens * config.hidden;
  const std::int64_t z_width = config.heads * config.head_dim;
  Buffer<float> writes(engine.context.backend, graph.sources() * stride);
  Buffer<float> z(engine.context.backend, tokens * z_width);
  const auto side = [&](const float* both, std::int64_t width, int which) -> const float* {
    return which < 0 ? nullptr : both + which * tokens * width;
  };
  const float* embedding = block.ends().embedding();
  take(engine, side(embedding, config.hidden, plus), side(embedding, config.hidden, minus), stride,
       writes.data());
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const LayerTrace& trace = block.ends().layer(layer);
    take(engine, side(trace.z, z_width, plus), side(trace.z, z_width, minus), tokens * z_width,
         z.data());
    expand_head_writes(engine, layer, tokens, z.data(),
                       writes.data() + graph.head_source(layer, 0) * stride, stride);
    take(engine, side(trace.mlp_out, config.hidden, plus),
         side(trace.mlp_out, config.hidden, minus), stride,
         writes.data() + graph.mlp_source(layer) * stride);
  }
  return writes;
}

}  // namespace

Buffer<float> source_differences(const Engine& engine, const Graph& graph, PairBlock& block) {
  return collect_writes(engine, graph, block, 1, 0);
}

Buffer<float> source_writes(const Engine& engine, const Graph& graph, PairBlock& block, int side) {
  return collect_writes(engine, graph, block, side, -1);
}

}  // namespace headspark
