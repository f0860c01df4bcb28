// Variants of a sweep as rows of shared batches, in the steps of engine/sweep_plan.h: a row starts
// from the stored residual stream of the unablated run, or from the row that it shared so far.
#include "headspark/sweep.h"

#include <algorithm>
#include <mutex>
#include <numeric>

#include "engine/block_copies.h"
#include "engine/gates.h"
#include "engine/mean_activations.h"
#include "engine/methods.h"
#include "engine/output_rows.h"
#include "engine/pair_block.h"
#include "engine/sweep_plan.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

/// What all blocks of a sweep share.
struct SweepInputs {
  Engine engine;
  SweepOptions options;
  RotaryTables rotary;
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
    const WantedTokens wanted = wanted_tokens(batch, 1);
    clean_ = Trace(engine_, tokens(), clean_trace());
    run_forward(engine_, batch, {.rotary = &rotary_, .wanted = &wanted}, clean_, control);
    if (options_.metric == Metric::kl) keep_clean_logits();
    if (options_.kind == AblationKind::resample) run_corrupted(control);
  }

  std::size_t pairs() const { return pairs_.size(); }
  std::int64_t tokens() const { return begin_.back(); }

  /// What a batch runs on.
  struct Pass {
    std::span<const AblationVariant> variants;
    Trace& trace;  ///< of largest_step(plan) * tokens() tokens, nothing kept
    const RunControl& control;
  };

  /// Metric values [variants of the batch, pairs].
  MetricValues run(const SweepBatch& batch, const Pass& pass) {
    for (const SweepStep& step : batch.steps) run_step(step, pass);
    const auto copies =
        batch.steps.empty() ? 0 : static_cast<std::int64_t>(batch.steps.back().parents.size());
    const bool plain = std::find(batch.rows.begin(), batch.rows.end(), -1) != batch.rows.end();
    const MetricValues gated = values(copies, pass.trace.final_residual());
    const MetricValues ungated = plain ? values(1, clean_.final_residual()) : MetricValues();
    MetricValues all;
    for (const std::int32_t row : batch.rows) {
      const MetricValues& from = row < 0 ? ungated : gated;
      const auto first =
          static_cast<std::ptrdiff_t>(std::max(row, 0)) * static_cast<std::ptrdiff_t>(pairs());
      const auto last = first + static_cast<std::ptrdiff_t>(pairs());
      all.value.insert(all.value.end(), from.value.begin() + first, from.value.begin() + last);
      all.correct.insert(all.correct.end(), from.correct.begin() + first,
                         from.correct.begin() + last);
    }
    return all;
  }

 private:
  /// The layers of one step: the residual stream of its rows goes from first_layer to end_layer in
  /// the trace. After the last layer it is packed: the supervised tokens only.
  void run_step(const SweepStep& step, const Pass& pass) {
    const auto copies = static_cast<std::int64_t>(step.parents.size());
    const Batch batch(engine_.context, rows(copies));
    const WantedTokens wanted = wanted_tokens(batch, copies);
    const RowData data = row_data(step, pass.variants);
    const RowGates gates(engine_, data.heads);
    const Buffer<std::int32_t> gate_begin = device(data.gate_begin);
    const Buffer<std::int32_t> gate_end = device(data.gate_end);
    const Buffer<std::int32_t> replacement = device(data.replacement_begin);
    load_start(step, pass.trace);
    ForwardInputs inputs;
    inputs.gates = gates.zero_ablation();
    inputs.rotary = &rotary_;
    inputs.first_layer = step.first_layer;
    inputs.end_layer = step.end_layer;
    // Nothing but the stream is kept, so every layer's residual is the same buffer (see Trace).
    inputs.start_residual = pass.trace.final_residual();
    inputs.wanted = &wanted;
    for (std::size_t layer = 0; layer < inputs.gates.size(); ++layer) {
      set_replacement(inputs.gates[layer], layer, replacement);
      if (options_.positions != GatePositions::all) {
        inputs.gates[layer].gate_begin = gate_begin.data();
        inputs.gates[layer].gate_end = gate_end.data();
      }
    }
    run_forward(engine_, batch, inputs, pass.trace, pass.control);
  }

  WantedTokens wanted_tokens(const Batch& batch, std::int64_t copies) const {
    return WantedTokens(engine_.context, batch.host(), supervised_rows(copies).counts());
  }

  /// Of `copies` copies of the block's rows, one after the other, packed.
  MetricValues values(std::int64_t copies, const float* final_residual) {
    SupervisedRows supervised = supervised_rows(copies);
    supervised.pack();
    MetricRun metric;
    metric.metric = options_.metric;
    metric.rows = &supervised;
    metric.final_residual = final_residual;
    metric.clean_logits = clean_logits_.data();
    metric.correct = true;
    return run_metric(engine_, metric);
  }

  /// `copies` copies of every pair's clean tokens, one after the other.
  BatchRows rows(std::int64_t copies) const {
    BatchRows rows;
    for (std::int64_t copy = 0; copy < copies; ++copy) {
      for (const auto& tokens : fed_) rows.add(tokens);
    }
    return rows;
  }

  SupervisedRows supervised_rows(std::int64_t copies) const {
    SupervisedRows rows;
    std::int32_t end = 0;
    for (std::int64_t copy = 0; copy < copies; ++copy) {
      for (std::size_t pair = 0; pair < pairs(); ++pair) {
        end += length(pair);
        rows.add(pairs_[pair], options_.metric, end - 1, static_cast<std::int32_t>(pair));
      }
    }
    return rows;
  }

  void keep_clean_logits() {
    std::vector<std::int32_t> last(pairs());  // packed: one token of each pair
    std::iota(last.begin(), last.end(), 0);
    clean_logits_ = Buffer<float>(engine_.context.backend,
                                  static_cast<std::int64_t>(pairs()) * engine_.config().vocab);
    run_logits(engine_, clean_.final_residual(), last, clean_logits_.data());
  }

  void run_corrupted(const RunControl& control) {
    BatchRows rows;
    for (const Pair& pair : pairs_) rows.add(fed_tokens(pair, true));
    const Batch batch(engine_.context, std::move(rows));
    const WantedTokens wanted = wanted_tokens(batch, 1);
    corrupted_ = Trace(engine_, tokens(), corrupted_trace());
    run_forward(engine_, batch, {.rotary = &rotary_, .wanted = &wanted}, corrupted_, control);
  }

  std::int32_t length(std::size_t pair) const { return begin_[pair + 1] - begin_[pair]; }

  /// Per row of a step (row of the plan, then pair).
  struct RowData {
    std::vector<std::vector<GatedHead>> heads;
    std::vector<std::int32_t> gate_begin;
    std::vector<std::int32_t> gate_end;
    std::vector<std::int32_t> replacement_begin;
  };

  RowData row_data(const SweepStep& step, std::span<const AblationVariant> variants) const {
    RowData rows;
    const bool generated = options_.positions == GatePositions::generated;
    for (const std::size_t variant : step.variants) {
      for (std::size_t pair = 0; pair < pairs(); ++pair) {
        const auto prompt = static_cast<std::int32_t>(pairs_[pair].clean.size());
        rows.heads.push_back(variants[variant].heads);
        rows.gate_begin.push_back(generated ? prompt : 0);
        rows.gate_end.push_back(generated ? length(pair) : prompt);
        rows.replacement_begin.push_back(begin_[pair]);
      }
    }
    return rows;
  }

  Buffer<std::int32_t> device(const std::vector<std::int32_t>& values) const {
    return Buffer<std::int32_t>(engine_.context.backend, std::span<const std::int32_t>(values));
  }

  void copy(const float* from, std::int64_t count, float* to) const {
    combine(engine_.context, {.count = count, .x = from, .b = 0.0f, .y = to});
  }

  /// Makes the stream of the step before that of the step's rows. Rows that go on where they are
  /// stay; layer 0 starts from the tokens.
  void load_start(const SweepStep& step, Trace& trace) const {
    if (step.first_layer == 0) return;
    float* stream = trace.final_residual();
    const std::int64_t row = tokens() * engine_.config().hidden;
    std::int32_t last_parent = -1;
    bool moved = false;
    for (std::size_t i = 0; i < step.parents.size(); ++i) {
      last_parent = std::max(last_parent, step.parents[i]);
      moved = moved || (step.parents[i] >= 0 && step.parents[i] != static_cast<std::int32_t>(i));
    }
    Buffer<float> before(engine_.context.backend, moved ? (last_parent + 1) * row : 0);
    if (moved) copy(stream, before.size(), before.data());
    const float* clean = clean_.layer(step.first_layer).residual;
    BlockCopies copies(engine_.context);
    for (std::size_t i = 0; i < step.parents.size(); ++i) {
      const std::int32_t parent = step.parents[i];
      if (parent == static_cast<std::int32_t>(i)) continue;
      copies.add(parent < 0 ? clean : before.data() + parent * row,
                 stream + static_cast<std::int64_t>(i) * row);
    }
    copies.run(row);
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
  const RotaryTables& rotary_;
  const std::vector<Buffer<float>>& mean_z_;
  std::span<const Pair> pairs_;
  std::vector<std::vector<std::int32_t>> fed_;
  std::vector<std::int32_t> begin_;
  Trace clean_;      ///< the residual stream entering every layer
  Trace corrupted_;  ///< z of every layer, resample only
  Buffer<float> clean_logits_;
};

/// Rows of the plan's largest step.
std::int64_t largest_step(const SweepPlan& plan) {
  std::size_t rows = 0;
  for (const SweepBatch& batch : plan.batches) {
    for (const SweepStep& step : batch.steps) rows = std::max(rows, step.parents.size());
  }
  return static_cast<std::int64_t>(rows);
}

/// fp32 values that one token of a prepared block holds on to.
std::int64_t kept_floats(const Engine& engine, const SweepOptions& options) {
  const std::int64_t corrupted = options.kind == AblationKind::resample
                                     ? Trace::floats_per_token(engine, corrupted_trace())
                                     : 0;
  return Trace::floats_per_token(engine, clean_trace()) + corrupted;
}

}  // namespace

struct Sweep::State {
  SweepInputs inputs;
  std::vector<Pair> pairs;
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  bool keep_blocks = false;  ///< all prepared blocks fit half the memory budget
  std::mutex mutex;          ///< guards `blocks`
  std::vector<std::shared_ptr<SweepBlock>> blocks;

  /// Variants whose rows fill a micro-batch of the size that pays, or half the memory budget.
  std::size_t rows_per_batch(std::int64_t tokens) const {
    const EngineOptions& options = inputs.engine.options;
    const std::int64_t wanted = paying_batch_tokens(inputs.engine);
    const std::int64_t floats =
        Trace::floats_per_token(inputs.engine, {}) + inputs.engine.config().hidden;
    const std::int64_t by_memory =
        options.memory_bytes / 2 / (floats * static_cast<std::int64_t>(sizeof(float)));
    return static_cast<std::size_t>(
        std::max<std::int64_t>(1, std::min(wanted, by_memory) / tokens));
  }

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
  const std::int64_t kept = kept_floats(engine, options);
  const TokenCost cost{
      .floats = kept + Trace::floats_per_token(engine, {}), .copies = 2, .share_prefix = false};
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
  const BufferReuse reuse(state.inputs.engine.context.backend);
  const std::size_t total = state.pairs.size();
  Result result;
  result.values.resize(variants.size() * total);
  result.correct.resize(variants.size() * total);
  std::uint64_t done = 0;
  for (std::size_t index = 0; index < state.ranges.size(); ++index) {
    const std::size_t begin = state.ranges[index].first;
    const std::shared_ptr<SweepBlock> shared = state.block(index, control);
    SweepBlock& block = *shared;
    const SweepPlan plan =
        plan_sweep(variants, config.layers, state.rows_per_batch(block.tokens()));
    Trace trace(state.inputs.engine, largest_step(plan) * block.tokens(), {});
    for (const SweepBatch& batch : plan.batches) {
      control.report({done, state.ranges.size() * variants.size(), "variants"});
      const MetricValues values = block.run(batch, {variants, trace, control});
      for (std::size_t i = 0; i < batch.variants.size(); ++i) {
        const std::size_t to = batch.variants[i] * total + begin;
        for (std::size_t pair = 0; pair < block.pairs(); ++pair) {
          result.values[to + pair] = values.value[i * block.pairs() + pair];
          result.correct[to + pair] = values.correct[i * block.pairs() + pair];
        }
      }
      done += batch.variants.size();
    }
  }
  control.report({done, done, "variants"});
  return result;
}

SweepSharing Sweep::sharing(std::span<const AblationVariant> variants) const {
  const State& state = *state_;
  const std::int64_t layers = state.inputs.engine.config().layers;
  SweepSharing sharing;
  for (const auto& [begin, end] : state.ranges) {
    std::int64_t tokens = 0;
    for (std::size_t i = begin; i < end; ++i) {
      tokens += static_cast<std::int64_t>(fed_tokens(state.pairs[i], false).size());
    }
    const SweepPlan plan = plan_sweep(variants, layers, state.rows_per_batch(tokens));
    sharing.layer_tokens += plan.layer_rows * tokens;
    sharing.unshared_layer_tokens += static_cast<std::int64_t>(variants.size()) * layers * tokens;
  }
  return sharing;
}

}  // namespace headspark
