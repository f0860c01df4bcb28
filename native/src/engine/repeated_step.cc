// Rows keep their places while they run, so that little of the tables changes; a step is padded
// with empty rows, its context is rounded up to whole splits, and either no layer has gates or all
// have.
#include "engine/repeated_step.h"

#include <algorithm>
#include <map>

#include "headspark/error.h"

namespace headspark {
namespace {

// Decode attention cuts contexts after so many tokens (cuda/attention_softmax.h), so its launches
// change there.
constexpr std::int64_t kContextStep = 256;
// A row of a long context makes every row's place in the table as long.
constexpr std::int64_t kMostTableBytes = std::int64_t{64} << 20;

std::int64_t rounded(std::int64_t count, std::int64_t to) {
  return (count + to - 1) / to * to;
}

}  // namespace

std::int64_t padded_rows(std::int64_t rows, std::int64_t most) {
  std::int64_t padded = 1;
  while (padded < 8 && padded < rows) padded *= 2;
  if (rows > 8) padded = rounded(rows, rows > 64 ? 16 : 8);
  return std::clamp(padded, rows, std::max(rows, most));
}

RepeatedStep::RepeatedStep(const Engine& engine, const KvPagePool& pool,
                           GateReplacement& replacement, Trace& trace, std::int64_t most_rows)
    : engine_(engine),
      pool_(pool),
      replacement_(replacement),
      trace_(trace),
      most_rows_(std::min(most_rows, trace.capacity())),
      work_(engine.context.backend->repeated_work()),
      pages_(engine),
      batch_(engine.context.backend),
      scales_(engine.context.backend) {}

std::int64_t RepeatedStep::pages_of(std::int64_t context) const {
  return rounded(context, kContextStep) / kKvPageTokens;
}

bool RepeatedStep::takes(std::int64_t rows, std::int64_t context) const {
  if (work_ == nullptr || rows > most_rows_) return false;
  const std::int64_t table = padded_rows(rows, most_rows_) * engine_.config().layers *
                             pages_of(context) * static_cast<std::int64_t>(sizeof(float*));
  return table <= kMostTableBytes;
}

RepeatCounts RepeatedStep::counts() const {
  return work_ != nullptr ? work_->counts() : RepeatCounts();
}

// Those that were there stay where they were; new ones take the places of those that left, then the
// last ones do.
std::vector<GenerationRow*> RepeatedStep::place(std::span<GenerationRow* const> rows) {
  std::map<std::uint64_t, GenerationRow*> coming;
  for (GenerationRow* row : rows) coming.emplace(row->number, row);
  std::vector<GenerationRow*> placed;
  for (const std::uint64_t number : numbers_) {
    const auto found = coming.find(number);
    placed.push_back(found != coming.end() ? found->second : nullptr);
    if (found != coming.end()) coming.erase(found);
  }
  std::size_t gap = 0;
  const auto next_gap = [&] {
    while (gap < placed.size() && placed[gap] != nullptr) ++gap;
    return gap < placed.size();
  };
  for (const auto& [number, row] : coming) {
    if (!next_gap()) placed.push_back(nullptr);
    placed[gap] = row;
  }
  while (next_gap()) {
    placed[gap] = placed.back();
    placed.pop_back();
  }
  numbers_.clear();
  for (const GenerationRow* row : placed) numbers_.push_back(row->number);
  return placed;
}

void RepeatedStep::upload_gates(const std::vector<GenerationRow*>& placed, std::int64_t padded) {
  if (gate_rows_ == padded && gate_numbers_ == numbers_) return;
  const ModelConfig& config = engine_.config();
  std::vector<float> scales(static_cast<std::size_t>(config.layers * padded * config.heads), 1.0f);
  for (std::size_t i = 0; i < placed.size(); ++i) {
    for (const GatedHead& gated : placed[i]->generated_gates) {
      const std::int64_t row = gated.layer * padded + static_cast<std::int64_t>(i);
      scales[static_cast<std::size_t>(row * config.heads + gated.head)] = gated.factor;
    }
  }
  gate_numbers_.clear();  // until they are there
  scales_.assign(scales);
  gate_numbers_ = numbers_;
  gate_rows_ = padded;
}

void RepeatedStep::replace_in(const std::vector<GenerationRow*>& placed,
                              std::vector<HeadGate>& gates) {
  GateReplacement::BatchRuns runs;
  for (const GenerationRow* row : placed) {
    runs.runs.push_back(row->request.replacement);
    runs.positions.push_back(row->stored);
  }
  replacement_.apply(runs, gates);
}

// All layers have gates where one has: which ones would be another shape of the step.
std::vector<HeadGate> RepeatedStep::gates_of(const std::vector<GenerationRow*>& placed,
                                             std::int64_t padded) {
  std::vector<HeadGate> gates;
  const auto gated = [](const GenerationRow* row) { return !row->generated_gates.empty(); };
  if (std::none_of(placed.begin(), placed.end(), gated)) return gates;
  upload_gates(placed, padded);
  const ModelConfig& config = engine_.config();
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    gates.push_back({.scale = scales_.data() + layer * padded * config.heads});
  }
  replace_in(placed, gates);
  return gates;
}

std::vector<std::int64_t> RepeatedStep::run(std::span<GenerationRow* const> rows,
                                            const Workspace& workspace, const RunControl& control) {
  const RotaryTables& rotary = workspace.rotary;
  const std::vector<GenerationRow*> placed = place(rows);
  const std::int64_t padded = padded_rows(static_cast<std::int64_t>(placed.size()), most_rows_);
  BatchRows packed;
  std::vector<const KvSequence*> sequences;
  std::map<const GenerationRow*, std::int64_t> token_of;
  for (const GenerationRow* row : placed) {
    token_of[row] = packed.token_count();
    packed.add({&row->tokens[static_cast<std::size_t>(row->stored)], 1}, 0,
               static_cast<std::int32_t>(row->stored));
    sequences.push_back(&row->cache);
  }
  packed.pad(static_cast<std::int32_t>(padded));
  const std::int64_t pages = pages_of(packed.longest_context);
  packed.longest_context = static_cast<std::int32_t>(pages * kKvPageTokens);
  batch_.reserve(5 * rounded(most_rows_ + 1, 16));
  const Batch batch(std::move(packed), batch_);
  pages_.set_places(pool_, sequences, {padded, pages});
  pages_.plan_in(workspace.plan, engine_, batch.layout());
  const ForwardInputs inputs{
      .gates = gates_of(placed, padded), .rotary = &rotary, .pages = &pages_, .decoding = true};
  RepeatKey key;
  key.add(padded).add(pages).add(batch.token_ids());
  // A longer table may lie where a shorter one was.
  key.add(rotary.scaled.cosine.data()).add(rotary.unscaled.cosine.data()).add(rotary.positions());
  pages_.add_to(key);
  if (!inputs.gates.empty()) {
    key.add(inputs.gates[0].scale).add(inputs.gates[0].replacement_begin);
  }
  control.check();
  work_->run(key, [&] { run_forward(engine_, batch, inputs, trace_, control); });
  std::vector<std::int64_t> tokens;
  for (const GenerationRow* row : rows) tokens.push_back(token_of.at(row));
  return tokens;
}

}  // namespace headspark
