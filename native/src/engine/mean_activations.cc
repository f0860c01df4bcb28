// One clean forward per micro-batch; the sums are taken on the host.
#include "engine/mean_activations.h"

#include <algorithm>

#include "engine/methods.h"
#include "engine/pair_block.h"

namespace headspark {
namespace {

struct Sum {
  std::vector<double> values;  ///< [positions, width]
  std::int64_t width = 0;

  Sum(std::int64_t positions, std::int64_t used_width)
      : values(static_cast<std::size_t>(positions * used_width), 0.0), width(used_width) {}

  /// Adds x [tokens, width] at the slots of the tokens' positions (slot 0 when there is one).
  void add(const Engine& engine, const float* x, const std::vector<std::int32_t>& positions) {
    std::vector<float> host(positions.size() * static_cast<std::size_t>(width));
    engine.context.backend->copy_to_host(host.data(), x,
                                         static_cast<std::int64_t>(host.size() * sizeof(float)));
    const bool single = static_cast<std::int64_t>(values.size()) == width;
    for (std::size_t t = 0; t < positions.size(); ++t) {
      double* to = values.data() + (single ? 0 : positions[t] * width);
      for (std::int64_t i = 0; i < width; ++i) {
        to[i] += static_cast<double>(
            host[t * static_cast<std::size_t>(width) + static_cast<std::size_t>(i)]);
      }
    }
  }

  std::vector<float> mean(const std::vector<std::int64_t>& counts) const {
    std::vector<float> result(values.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::int64_t count = counts[i / static_cast<std::size_t>(width)];
      result[i] = count > 0 ? static_cast<float>(values[i] / static_cast<double>(count)) : 0.0f;
    }
    return result;
  }
};

struct Sums {
  std::vector<std::int64_t> counts;      ///< tokens per position slot
  std::vector<std::int64_t> all_counts;  ///< one entry: all tokens
  Sum embedding;
  std::vector<Sum> z;
  std::vector<Sum> mlp;

  Sums(const ModelConfig& config, std::int64_t positions)
      : counts(static_cast<std::size_t>(positions), 0),
        all_counts(1, 0),
        embedding(1, config.hidden) {
    for (std::int64_t layer = 0; layer < config.layers; ++layer) {
      z.emplace_back(positions, config.heads * config.head_dim);
      mlp.emplace_back(1, config.hidden);
    }
  }

  void add(const Engine& engine, const Batch& batch, const Trace& trace) {
    const std::vector<std::int32_t>& positions = batch.host().positions;
    embedding.add(engine, trace.embedding(), positions);
    for (std::size_t layer = 0; layer < z.size(); ++layer) {
      z[layer].add(engine, trace.layer(static_cast<std::int64_t>(layer)).z, positions);
      mlp[layer].add(engine, trace.layer(static_cast<std::int64_t>(layer)).mlp_out, positions);
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
  const ModelConfig& config = engine.config();
  const std::int64_t longest = longest_pair(pairs);
  const RotaryTable rotary = rotary_for(engine, longest);
  const TraceOptions options{.sources = true};
  Sums sums(config, per_position ? longest : 1);
  const auto ranges =
      plan_pairs(engine, pairs, Metric::nll,
                 {.floats = Trace::floats_per_token(config, options), .share_prefix = false});
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
    means.mlp.push_back(sums.mlp[layer].mean(sums.all_counts));
  }
  return means;
}

}  // namespace headspark
