// Variants of a sweep as rows of shared batches. A variant starts from the stored residual stream
// of the unablated run at its first gated layer: below that both are the same.
#include "headspark/sweep.h"

#include <algorithm>
#include <mutex>
#include <numeric>

#include "engine/gates.h"
#include "engine/mean_activations.h"
#include "engine/methods.h"
#include "engine/pair_block.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

/// Indexes of variants that run as one batch: all start at the same layer.
struct VariantGroup {
  std::int64_t first_layer = 0;
  std::vector<std::size_t> variants;
};

std::vector<VariantGroup> group_variants(std::span<const AblationVariant> variants,
                                         std::int64_t layers, std::size_t per_batch) {
  std::vector<std::size_t> order(variants.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto first = [&](std::size_t i) { return first_gated_layer(variants[i].heads, layers); };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return first(a) < first(b); });
  std::vector<VariantGroup> groups;
  for (const std::size_t index : order) {
    if (groups.empty() || groups.back().first_layer != first(index) ||
        groups.back().variants.size() >= per_batch) {
      groups.push_back({first(index), {}});
    }
    groups.back().variants.push_back(index);
  }
  return groups;
}

}  // namespace

namespace {

/// What all blocks of a sweep share.
struct SweepInputs {
  Engine engine;
  SweepOptions options;
  RotaryTable rotary;
  std::vector<Buffer<float>>
      mean_z;  ///< mean ablation: per layer [positions or 1, heads, head_dim]
};

TraceOptions clean_trace() {
  return {.residuals = true};
}
TraceOptions corrupted_trace() {
  return {.sources = true};
}

/// One block of pairs with what its variants start from and are replaced by.
class SweepBlock {
 public:
  SweepBlock(const SweepInputs& inputs, std::span<const Pair> pairs, const RunControl& control)
      : engine_(inputs.engine),
        options_(inputs.options),
        rotary_(inputs.rotary),
        mean_z_(inputs.mean_z),
        pairs_(pairs),
        begin_{0},
        clean_(engine_, 0, {}),
        corrupted_(engine_, 0, {}) {
    for (const Pair& pair : pairs) {
      fed_.push_back(fed_tokens(pair, false));
      begin_.push_back(begin_.back() + static_cast<std::int32_t>(fed_.back().size()));
    }
    const Batch batch(engine_.context, rows(1));
    clean_ = Trace(engine_, tokens(), clean_trace());
    run_forward(engine_, batch, {.rotary = &rotary_}, clean_, control);
    if (options_.metric == Metric::kl) keep_clean_logits();
    if (options_.kind == AblationKind::resample) run_corrupted(control);
  }

  std::size_t pairs() const { return pairs_.size(); }
  std::int64_t tokens() const { return begin_.back(); }

  MetricValues run(const VariantGroup& group, std::span<const AblationVariant> variants,
                   const RunControl& control) {
    const auto copies = static_cast<std::int64_t>(group.variants.size());
    const Batch batch(engine_.context, rows(copies));
    const RowData data = row_data(group, variants);
    const RowGates gates(engine_, data.heads);
    const Buffer<std::int32_t> gate_begin = device(data.gate_begin);
    const Buffer<std::int32_t> gate_end = device(data.gate_end);
    const Buffer<std::int32_t> replacement = device(data.replacement_begin);
    const Buffer<float> start = start_residual(group, data.start_token);
    ForwardInputs inputs;
    inputs.gates = gates.zero_ablation();
    inputs.rotary = &rotary_;
    inputs.first_layer = group.first_layer;
    inputs.start_residual = start.data();
    for (std::size_t layer = 0; layer < inputs.gates.size(); ++layer) {
      set_replacement(inputs.gates[layer], layer, replacement);
      if (options_.positions != GatePositions::all) {
        inputs.gates[layer].gate_begin = gate_begin.data();
        inputs.gates[layer].gate_end = gate_end.data();
      }
    }
    Trace trace(engine_, batch.tokens(), {});
    run_forward(engine_, batch, inputs, trace, control);
    const SupervisedRows supervised = supervised_rows(copies);
    MetricRun metric;
    metric.metric = options_.metric;
    metric.rows = &supervised;
    metric.final_residual = trace.final_residual();
    metric.clean_logits = clean_logits_.data();
    return run_metric(engine_, metric);
  }

 private:
  /// Every pair's clean tokens `copies` times, one copy after the other.
  BatchRows rows(std::int64_t copies) const {
    BatchRows rows;
    for (const auto& tokens : fed_) {
      for (std::int64_t copy = 0; copy < copies; ++copy) rows.add(tokens);
    }
    return rows;
  }

  SupervisedRows supervised_rows(std::int64_t copies) const {
    SupervisedRows rows;
    std::int32_t end = 0;
    for (std::size_t pair = 0; pair < pairs(); ++pair) {
      for (std::int64_t copy = 0; copy < copies; ++copy) {
        end += length(pair);
        rows.add(pairs_[pair], options_.metric, end - 1, static_cast<std::int32_t>(pair));
      }
    }
    return rows;
  }

  void keep_clean_logits() {
    std::vector<std::int32_t> last;
    for (std::size_t pair = 0; pair < pairs(); ++pair) last.push_back(begin_[pair + 1] - 1);
    clean_logits_ = Buffer<float>(engine_.context.backend,
                                  static_cast<std::int64_t>(pairs()) * engine_.config().vocab);
    run_logits(engine_, clean_.final_residual(), last, clean_logits_.data());
  }

  void run_corrupted(const RunControl& control) {
    BatchRows rows;
    for (const Pair& pair : pairs_) rows.add(fed_tokens(pair, true));
    const Batch batch(engine_.context, std::move(rows));
    corrupted_ = Trace(engine_, tokens(), corrupted_trace());
    run_forward(engine_, batch, {.rotary = &rotary_}, corrupted_, control);
  }

  std::int32_t length(std::size_t pair) const { return begin_[pair + 1] - begin_[pair]; }

  /// Per row of the batch (pair-major, then variant), and per token where it starts.
  struct RowData {
    std::vector<std::vector<GatedHead>> heads;
    std::vector<std::int32_t> gate_begin;
    std::vector<std::int32_t> gate_end;
    std::vector<std::int32_t> replacement_begin;
    std::vector<std::int32_t> start_token;
  };

  RowData row_data(const VariantGroup& group, std::span<const AblationVariant> variants) const {
    RowData rows;
    for (std::size_t pair = 0; pair < pairs(); ++pair) {
      const auto prompt = static_cast<std::int32_t>(pairs_[pair].clean.size());
      const bool generated = options_.positions == GatePositions::generated;
      for (const std::size_t variant : group.variants) {
        rows.heads.push_back(variants[variant].heads);
        rows.gate_begin.push_back(generated ? prompt : 0);
        rows.gate_end.push_back(generated ? length(pair) : prompt);
        rows.replacement_begin.push_back(begin_[pair]);
        for (std::int32_t t = 0; t < length(pair); ++t) {
          rows.start_token.push_back(begin_[pair] + t);
        }
      }
    }
    return rows;
  }

  Buffer<std::int32_t> device(const std::vector<std::int32_t>& values) const {
    return Buffer<std::int32_t>(engine_.context.backend, std::span<const std::int32_t>(values));
  }

  Buffer<float> start_residual(const VariantGroup& group,
                               const std::vector<std::int32_t>& tokens) const {
    if (group.first_layer == 0) return {};
    const std::int64_t hidden = engine_.config().hidden;
    const bool none = group.first_layer == engine_.config().layers;
    const float* from = none ? clean_.final_residual() : clean_.layer(group.first_layer).residual;
    const auto count = static_cast<std::int64_t>(tokens.size());
    Buffer<float> start(engine_.context.backend, count * hidden);
    const Buffer<std::int32_t> index = device(tokens);
    gather_rows(engine_.context, count, hidden, index.data(), from, start.data());
    return start;
  }

  void set_replacement(HeadGate& gate, std::size_t layer, const Buffer<std::int32_t>& replacement) {
    if (options_.kind == AblationKind::zero) return;
    if (options_.kind == AblationKind::resample) {
      gate.kind = Replacement::token;
      gate.replacement = corrupted_.layer(static_cast<std::int64_t>(layer)).z;
      gate.replacement_begin = replacement.data();
      return;
    }
    gate.kind = options_.kind == AblationKind::mean ? Replacement::shared : Replacement::position;
    gate.replacement = mean_z_[layer].data();
  }

  const Engine& engine_;
  const SweepOptions& options_;
  const RotaryTable& rotary_;
  const std::vector<Buffer<float>>& mean_z_;
  std::span<const Pair> pairs_;
  std::vector<std::vector<std::int32_t>> fed_;
  std::vector<std::int32_t> begin_;
  Trace clean_;      ///< the residual stream entering every layer
  Trace corrupted_;  ///< z of every layer, resample only
  Buffer<float> clean_logits_;
};

/// fp32 values that one token of a prepared block holds on to.
std::int64_t kept_floats(const ModelConfig& config, const SweepOptions& options) {
  const std::int64_t corrupted = options.kind == AblationKind::resample
                                     ? Trace::floats_per_token(config, corrupted_trace())
                                     : 0;
  return Trace::floats_per_token(config, clean_trace()) + corrupted;
}

}  // namespace

struct Sweep::State {
  SweepInputs inputs;
  std::vector<Pair> pairs;
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  bool keep_blocks = false;  ///< all prepared blocks fit half the memory budget
  std::mutex mutex;          ///< guards `blocks`
  std::vector<std::shared_ptr<SweepBlock>> blocks;

  /// The prepared block of a range, made on first use.
  std::shared_ptr<SweepBlock> block(std::size_t index, const RunControl& control) {
    const std::lock_guard<std::mutex> lock(mutex);
    if (blocks[index]) return blocks[index];
    const auto [begin, end] = ranges[index];
    auto made =
        std::make_shared<SweepBlock>(inputs, std::span(pairs).subspan(begin, end - begin), control);
    if (keep_blocks) blocks[index] = made;
    return made;
  }
};

Sweep::Sweep(const Engine& engine, std::vector<Pair> pairs, const SweepOptions& options,
             const RunControl& control)
    : state_(std::make_unique<State>()) {
  check_pairs(engine, pairs, options.metric);
  State& state = *state_;
  state.pairs = std::move(pairs);
  state.inputs.engine = engine;
  state.inputs.options = options;
  state.inputs.rotary = rotary_for(engine, longest_pair(state.pairs));
  if (options.kind == AblationKind::mean || options.kind == AblationKind::mean_per_position) {
    const bool per_position = options.kind == AblationKind::mean_per_position;
    const MeanActivations means = mean_activations(engine, state.pairs, per_position, control);
    for (const std::vector<float>& z : means.z) {
      state.inputs.mean_z.emplace_back(engine.context.backend, std::span<const float>(z));
    }
  }
  const ModelConfig& config = engine.config();
  const std::int64_t kept = kept_floats(config, options);
  const TokenCost cost{
      .floats = kept + Trace::floats_per_token(config, {}), .copies = 2, .share_prefix = false};
  state.ranges = plan_pairs(engine, state.pairs, options.metric, cost);
  state.blocks.resize(state.ranges.size());
  std::int64_t tokens = 0;
  for (const Pair& pair : state.pairs) {
    tokens += static_cast<std::int64_t>(fed_tokens(pair, false).size());
  }
  const auto bytes = tokens * kept * static_cast<std::int64_t>(sizeof(float));
  state.keep_blocks = bytes <= engine.options.memory_bytes / 2;
}

Sweep::~Sweep() = default;
Sweep::Sweep(Sweep&&) noexcept = default;
Sweep& Sweep::operator=(Sweep&&) noexcept = default;

std::int64_t Sweep::pairs() const {
  return static_cast<std::int64_t>(state_->pairs.size());
}

Sweep::Result Sweep::run(std::span<const AblationVariant> variants,
                         const RunControl& control) const {
  State& state = *state_;
  const ModelConfig& config = state.inputs.engine.config();
  for (const AblationVariant& variant : variants) check_gated_heads(config, variant.heads);
  const std::size_t total = state.pairs.size();
  Result result;
  result.values.resize(variants.size() * total);
  result.correct.resize(variants.size() * total);
  std::uint64_t done = 0;
  for (std::size_t index = 0; index < state.ranges.size(); ++index) {
    const std::size_t begin = state.ranges[index].first;
    const std::shared_ptr<SweepBlock> shared = state.block(index, control);
    SweepBlock& block = *shared;
    const auto per_batch =
        static_cast<std::size_t>(std::max<std::int64_t>(1, kBatchTokens / block.tokens()));
    for (const VariantGroup& group : group_variants(variants, config.layers, per_batch)) {
      control.report({done, state.ranges.size() * variants.size(), "variants"});
      const MetricValues values = block.run(group, variants, control);
      const std::size_t copies = group.variants.size();
      for (std::size_t pair = 0; pair < block.pairs(); ++pair) {
        for (std::size_t copy = 0; copy < copies; ++copy) {
          const std::size_t to = group.variants[copy] * total + begin + pair;
          result.values[to] = values.value[pair * copies + copy];
          result.correct[to] = values.correct[pair * copies + copy];
        }
      }
      done += copies;
    }
  }
  control.report({done, done, "variants"});
  return result;
}

}  // namespace headspark
