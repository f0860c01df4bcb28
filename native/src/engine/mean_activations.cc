// One clean forward per micro-batch; sums stay on the device until all pairs are in.
#include "engine/mean_activations.h"

#include <algorithm>

#include "engine/methods.h"
#include "engine/pair_block.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

struct Sum {
  Buffer<double> values;  ///< [slots, width]
  std::int64_t slots;
  std::int64_t width;

  Sum(const Engine& engine, std::int64_t used_slots, std::int64_t used_width)
      : values(engine.context.backend, used_slots * used_width),
        slots(used_slots),
        width(used_width) {
    values.zero();
  }

  /// Adds x [tokens, width] at the slots of the tokens' positions (slot 0 when there is one).
  void add(const Engine& engine, const float* x, const Batch& batch) {
    sum_rows(engine.context, {.rows = batch.tokens(),
                              .width = width,
                              .slots = slots > 1 ? batch.positions() : nullptr,
                              .slot_count = slots,
                              .x = x,
                              .sums = values.data()});
  }

  std::vector<float> mean(const std::vector<std::int64_t>& counts) const {
    const std::vector<double> sums = values.to_host();
    std::vector<float> result(sums.size());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::int64_t count = counts[i / static_cast<std::size_t>(width)];
      result[i] = count > 0 ? static_cast<float>(sums[i] / static_cast<double>(count)) : 0.0f;
    }
    return result;
  }
};

struct Sums {
  std::vector<std::int64_t> counts;      ///< tokens per position slot
  std::vector<std::int64_t> all_counts;  ///< one entry: all tokens
  Sum embedding;
  std::vector<Sum> z;
  std::vector<Sum> written;  ///< where it is not z
  std::vector<Sum> mlp;

  Sums(const Engine& engine, std::int64_t positions)
      : counts(static_cast<std::size_t>(positions), 0),
        all_counts(1, 0),
        embedding(engine, 1, engine.config().hidden) {
    const ModelConfig& config = engine.config();
    for (std::int64_t layer = 0; layer < config.layers; ++layer) {
      z.emplace_back(engine, positions, config.heads * config.head_dim);
      mlp.emplace_back(engine, 1, config.hidden);
      if (config.post_norm && positions == 1)
        written.emplace_back(engine, 1, config.heads * config.head_dim);
    }
  }

  void add(const Engine& engine, const Batch& batch, const Trace& trace) {
    const std::vector<std::int32_t>& positions = batch.host().positions;
    embedding.add(engine, trace.embedding(), batch);
    for (std::size_t layer = 0; layer < z.size(); ++layer) {
      const LayerTrace& kept = trace.layer(static_cast<std::int64_t>(layer));
      z[layer].add(engine, kept.z, batch);
      mlp[layer].add(engine, kept.mlp_out, batch);
      if (!written.empty()) written[layer].add(engine, kept.written, batch);
    }
    for (const std::int32_t position : positions) {
      ++counts[counts.size() == 1 ? 0 : static_cast<std::size_t>(position)];
    }
    all_counts[0] += static_cast<std::int64_t>(positions.size());
  }
};

}  // namespace

MeanActivations mean_activations(const Engine& engine, std::span<const Pair> pairs,
                                 bool per_position, const RunControl& control) {
  const BufferReuse reuse(engine.context.backend);
  const std::int64_t longest = longest_pair(pairs);
  const RotaryTables rotary = rotary_for(engine, longest);
  const TraceOptions options{.sources = true};
  Sums sums(engine, per_position ? longest : 1);
  const auto ranges =
      plan_pairs(engine, pairs, Metric::nll,
                 {.floats = Trace::floats_per_token(engine, options), .share_prefix = false});
  for (const auto& [begin, end] : ranges) {
    control.report({begin, pairs.size(), "means"});
    BatchRows rows;
    for (std::size_t i = begin; i < end; ++i) rows.add(fed_tokens(pairs[i], false));
    const Batch batch(engine.context, std::move(rows));
    Trace trace(engine, batch.tokens(), options);
    run_forward(engine, batch, {.rotary = &rotary}, trace, control);
    sums.add(engine, batch, trace);
  }
  MeanActivations means;
  means.positions = per_position ? longest : 1;
  means.embedding = sums.embedding.mean(sums.all_counts);
  for (std::size_t layer = 0; layer < sums.z.size(); ++layer) {
    means.z.push_back(sums.z[layer].mean(sums.counts));
    if (means.positions == 1) {
      means.written.push_back(sums.written.empty() ? means.z.back()
                                                   : sums.written[layer].mean(sums.all_counts));
    }
    means.mlp.push_back(sums.mlp[layer].mean(sums.all_counts));
  }
  return means;
}

}  // namespace headspark
