// A pass is cut at the layers whose residuals somebody keeps.
#include "engine/prefill.h"

#include <algorithm>
#include <set>

#include "engine/gates.h"
#include "headspark/ops/rows.h"

namespace headspark {

std::vector<Prefill::Chunk> Prefill::take_chunks(std::span<const PromptHandle> states,
                                                 std::int64_t capacity, std::int64_t reserve) {
  std::vector<Chunk> chunks;
  std::int64_t tokens = 0;
  for (const PromptHandle& state : states) {
    const PromptState::Work& work = *state->work();
    const std::int64_t room = std::min(state->length(), work.done + capacity - tokens);
    if (room == work.done) break;
    const std::int64_t end = replacement_.pass_end(state->run(), work.done, room);
    const std::int64_t missing = state->cache().missing(work.layers, work.done, end);
    if (!chunks.empty() && pool_.available() < missing + reserve) break;
    if (!state->cache().make_writable(work.layers, work.done, end)) break;
    chunks.push_back({state.get(), work.done, end, tokens});
    tokens += end - work.done;
  }
  return chunks;
}

void Prefill::copy_rows(const float* from, float* to, std::int64_t rows) const {
  combine(engine_.context,
          {.count = rows * engine_.config().hidden, .x = from, .b = 0.0f, .y = to});
}

void Prefill::load_start(const std::vector<Chunk>& chunks, float* residual) const {
  const std::int64_t hidden = engine_.config().hidden;
  for (const Chunk& chunk : chunks) {
    const PromptState::Work& work = *chunk.state->work();
    const PromptState& source = work.source != nullptr ? *work.source : *chunk.state;
    copy_rows(source.residual(work.layers.begin) + chunk.begin * hidden,
              residual + chunk.row * hidden, chunk.end - chunk.begin);
  }
}

void Prefill::run_segments(const std::vector<Chunk>& chunks, const Batch& batch,
                           ForwardInputs inputs, Trace& trace, const RunControl& control) const {
  const std::int64_t hidden = engine_.config().hidden;
  const LayerRange layers = chunks.front().state->work()->layers;
  std::set<std::int64_t> stops{layers.end};
  for (const Chunk& chunk : chunks) {
    for (const auto& [layer, residual] : chunk.state->residuals()) {
      if (layer > layers.begin && layer < layers.end) stops.insert(layer);
    }
  }
  // Nothing but the stream is kept, so every layer's residual is the same buffer (see Trace).
  float* stream = trace.final_residual();
  if (layers.begin > 0) load_start(chunks, stream);
  inputs.first_layer = layers.begin;
  inputs.start_residual = stream;
  const WantedTokens wanted(engine_.context, batch.host(), last_tokens(chunks));
  inputs.wanted = &wanted;
  for (const std::int64_t stop : stops) {
    inputs.end_layer = stop;
    run_forward(engine_, batch, inputs, trace, control);
    inputs.first_layer = stop;
    for (const Chunk& chunk : chunks) {
      float* kept = chunk.state->residual(stop);
      if (kept == nullptr) continue;
      copy_rows(stream + chunk.row * hidden, kept + chunk.begin * hidden, chunk.end - chunk.begin);
    }
  }
}

// Of the last layer's output only the residual stream of a finished prompt's last token is read.
std::vector<std::int32_t> Prefill::last_tokens(const std::vector<Chunk>& chunks) const {
  std::vector<std::int32_t> counts;
  for (const Chunk& chunk : chunks) counts.push_back(chunk.end == chunk.state->length() ? 1 : 0);
  return counts;
}

void Prefill::finish(const std::vector<Chunk>& chunks, const Trace& trace) const {
  const std::int64_t hidden = engine_.config().hidden;
  std::int64_t last = 0;  // packed
  for (const Chunk& chunk : chunks) {
    PromptState& state = *chunk.state;
    state.work()->done = chunk.end;
    if (chunk.end < state.length()) continue;
    if (state.work()->layers.end == engine_.config().layers) {
      copy_rows(trace.final_residual() + last * hidden, state.last(), 1);
      ++last;
    }
    state.finish_work();
  }
}

std::int64_t Prefill::run(std::span<const PromptHandle> states, std::int64_t reserve,
                          const Workspace& workspace, const RunControl& control) {
  Trace& trace = workspace.trace;
  const std::vector<Chunk> chunks = take_chunks(states, trace.capacity(), reserve);
  if (chunks.empty()) return 0;
  BatchRows rows;
  std::vector<const KvSequence*> sequences;
  std::vector<std::vector<GatedHead>> heads;
  GateReplacement::BatchRuns runs;
  for (const Chunk& chunk : chunks) {
    const std::span<const std::int32_t> prompt(chunk.state->prompt());
    rows.add(prompt.subspan(static_cast<std::size_t>(chunk.begin),
                            static_cast<std::size_t>(chunk.end - chunk.begin)),
             0, static_cast<std::int32_t>(chunk.begin));
    sequences.push_back(&chunk.state->cache());
    heads.push_back(chunk.state->gates());
    runs.runs.push_back(chunk.state->run());
    runs.positions.push_back(chunk.begin);
  }
  const Batch batch(engine_.context, std::move(rows));
  pages_.set(pool_, sequences, chunks.front().state->work()->layers);
  const RowGates gates(engine_, heads);
  ForwardInputs inputs{
      .gates = gates.zero_ablation(), .rotary = &workspace.rotary, .pages = &pages_};
  replacement_.apply(runs, inputs.gates);
  run_segments(chunks, batch, inputs, trace, control);
  finish(chunks, trace);
  return batch.tokens();
}

}  // namespace headspark
