// Variants of a sweep as rows of shared batches. A variant starts from the stored residual stream
// of the unablated run at its first gated layer: below that both are the same.
#include "headspark/sweep.h"

#include <algorithm>
#include <numeric>

#include "engine/gates.h"
#include "engine/mean_activations.h"
#include "engine/methods.h"
#include "engine/pair_block.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

constexpr std::int64_t kBatchTokens = 1024;  // see planning.cc

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

struct Sweep::State {
  Engine engine;
  std::vector<Pair> pairs;
  SweepOptions options;
  RotaryTable rotary;
  MeanActivations means;              ///< mean ablation only
  std::vector<Buffer<float>> mean_z;  ///< the same on the device, per layer
};

namespace {

/// One block of pairs with what its variants start from and are replaced by.
class SweepBlock {
 public:
  SweepBlock(const Engine& engine, std::span<const Pair> pairs, const SweepOptions& options,
             const RotaryTable& rotary, const std::vector<Buffer<float>>& mean_z,
             const RunControl& control)
      : engine_(engine),
        options_(options),
        mean_z_(mean_z),
        block_(engine, pairs, options.metric, false, rotary, control),
        clean_batch_(engine.context, block_.repeated_rows(1)),
        clean_(engine, block_.tokens(), {.gradients = true}) {
    run_forward(engine, clean_batch_, {.rotary = &rotary}, clean_, control);
  }

  std::size_t pairs() const { return block_.pairs(); }
  std::int64_t tokens() const { return block_.tokens(); }

  MetricValues run(const VariantGroup& group, std::span<const AblationVariant> variants,
                   const RunControl& control) {
    const auto copies = static_cast<std::int64_t>(group.variants.size());
    const Batch batch(engine_.context, block_.repeated_rows(copies));
    RowData rows = row_data(group, variants);
    const RowGates gates(engine_, rows.heads);
    const Buffer<std::int32_t> gate_begin = device(rows.gate_begin);
    const Buffer<std::int32_t> gate_end = device(rows.gate_end);
    const Buffer<std::int32_t> replacement = device(rows.replacement_begin);
    const Buffer<float> start = start_residual(group, rows.start_token);
    ForwardInputs inputs;
    inputs.gates = gates.zero_ablation();
    inputs.rotary = &block_.rotary();
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
    const SupervisedRows supervised = block_.supervised(copies);
    MetricRun metric;
    metric.metric = options_.metric;
    metric.rows = &supervised;
    metric.final_residual = trace.final_residual();
    metric.clean_logits = block_.clean_logits();
    return run_metric(engine_, metric);
  }

 private:
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
    for (std::size_t pair = 0; pair < block_.pairs(); ++pair) {
      const auto prompt = static_cast<std::int32_t>(block_.pair(pair).clean.size());
      const bool generated = options_.positions == GatePositions::generated;
      for (const std::size_t variant : group.variants) {
        rows.heads.push_back(variants[variant].heads);
        rows.gate_begin.push_back(generated ? prompt : 0);
        rows.gate_end.push_back(generated ? prompt + block_.own_length(pair) : prompt);
        rows.replacement_begin.push_back(block_.begin(pair));
        for (std::int32_t t = 0; t < block_.own_length(pair); ++t) {
          rows.start_token.push_back(block_.begin(pair) + t);
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
      const std::int64_t width = engine_.config().heads * engine_.config().head_dim;
      gate.kind = Replacement::token;
      gate.replacement =
          block_.ends().layer(static_cast<std::int64_t>(layer)).z + block_.tokens() * width;
      gate.replacement_begin = replacement.data();
      return;
    }
    gate.kind = options_.kind == AblationKind::mean ? Replacement::shared : Replacement::position;
    gate.replacement = mean_z_[layer].data();
  }

  const Engine& engine_;
  const SweepOptions& options_;
  const std::vector<Buffer<float>>& mean_z_;
  PairBlock block_;
  Batch clean_batch_;
  Trace clean_;  ///< keeps the residual stream entering every layer
};

}  // namespace

Sweep::Sweep(const Engine& engine, std::vector<Pair> pairs, const SweepOptions& options,
             const RunControl& control)
    : state_(std::make_unique<State>()) {
  check_pairs(engine, pairs, options.metric);
  state_->engine = engine;
  state_->pairs = std::move(pairs);
  state_->options = options;
  state_->rotary = rotary_for(engine, longest_pair(state_->pairs));
  if (options.kind == AblationKind::mean || options.kind == AblationKind::mean_per_position) {
    state_->means = mean_activations(engine, state_->pairs,
                                     options.kind == AblationKind::mean_per_position, control);
    for (const std::vector<float>& z : state_->means.z) {
      state_->mean_z.emplace_back(engine.context.backend, std::span<const float>(z));
    }
  }
}

Sweep::~Sweep() = default;
Sweep::Sweep(Sweep&&) noexcept = default;
Sweep& Sweep::operator=(Sweep&&) noexcept = default;

std::int64_t Sweep::pairs() const {
  return static_cast<std::int64_t>(state_->pairs.size());
}

Sweep::Result Sweep::run(std::span<const AblationVariant> variants,
                         const RunControl& control) const {
  const State& state = *state_;
  const ModelConfig& config = state.engine.config();
  for (const AblationVariant& variant : variants) check_gated_heads(config, variant.heads);
  const std::size_t total = state.pairs.size();
  Result result;
  result.values.resize(variants.size() * total);
  result.correct.resize(variants.size() * total);
  const std::int64_t floats = Trace::floats_per_token(config, {.gradients = true}) +
                              2 * Trace::floats_per_token(config, {.sources = true});
  const auto ranges = plan_pairs(state.engine, state.pairs, state.options.metric,
                                 {.floats = floats, .copies = 2, .share_prefix = false});
  std::uint64_t done = 0;
  for (const auto& [begin, end] : ranges) {
    SweepBlock block(state.engine, std::span(state.pairs).subspan(begin, end - begin),
                     state.options, state.rotary, state.mean_z, control);
    const auto per_batch =
        static_cast<std::size_t>(std::max<std::int64_t>(1, kBatchTokens / block.tokens()));
    for (const VariantGroup& group : group_variants(variants, config.layers, per_batch)) {
      control.report({done, ranges.size() * variants.size(), "variants"});
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
