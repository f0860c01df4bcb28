// A batch row's own tokens take consecutive rows of the table; prefill and recomputation cut their
// passes where a run goes round.
#include "engine/gate_replacement.h"

#include <algorithm>

namespace headspark {

std::int64_t replacement_row(const ReplacementRun& run, std::int64_t position) {
  if (position < run.length) return run.begin + position;
  return run.begin + run.loop + (position - run.length) % (run.length - run.loop);
}

std::int64_t replacement_end(const ReplacementRun& run, std::int64_t position) {
  return position + run.begin + run.length - replacement_row(run, position);
}

GateReplacement::GateReplacement(const Engine& engine, std::span<const float> table)
    : table_(engine.context.backend, table), begin_(engine.context.backend) {
  const ModelConfig& config = engine.config();
  layer_floats_ = static_cast<std::int64_t>(table.size()) / config.layers;
  rows_ = layer_floats_ / (config.heads * config.head_dim);
}

std::int64_t GateReplacement::pass_end(const ReplacementRun& run, std::int64_t begin,
                                       std::int64_t end) const {
  return rows_ <= 1 ? end : std::min(end, replacement_end(run, begin));
}

void GateReplacement::apply(const BatchRuns& batch, std::vector<HeadGate>& gates) {
  if (rows_ == 0 || gates.empty()) return;
  std::vector<std::int32_t> begin;
  for (std::size_t row = 0; row < batch.runs.size() && rows_ > 1; ++row) {
    begin.push_back(
        static_cast<std::int32_t>(replacement_row(batch.runs[row], batch.positions[row])));
  }
  const std::int32_t* rows = begin_.assign(begin);
  for (std::size_t layer = 0; layer < gates.size(); ++layer) {
    gates[layer].kind = rows_ == 1 ? Replacement::shared : Replacement::token;
    gates[layer].replacement = table_.data() + static_cast<std::int64_t>(layer) * layer_floats_;
    gates[layer].replacement_begin = rows;
  }
}

}  // namespace headspark
