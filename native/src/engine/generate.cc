// Rows are prefilled together, then advance one token each per step; a finished row leaves the
// batch. Every row owns a range of the key/value store.
#include "headspark/generate.h"

#include <algorithm>
#include <string>

#include "engine/forward.h"
#include "engine/gates.h"
#include "engine/metric_head.h"
#include "headspark/error.h"
#include "headspark/ops/argmax.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

struct RowState {
  const GenerateRow* row = nullptr;
  std::int32_t store_begin = 0;
  std::int32_t stored = 0;  ///< tokens whose keys and values are in the store
  std::vector<std::int32_t> pending;
  std::vector<std::int32_t> generated;
  bool done = false;
};

class GreedyDecoder {
 public:
  GreedyDecoder(const Engine& engine, std::span<const GenerateRow> rows,
                const GenerateOptions& options)
      : engine_(engine), options_(options) {
    std::int32_t store = 0;
    std::int64_t longest = 0;
    for (const GenerateRow& row : rows) {
      check_row(row);
      RowState state;
      state.row = &row;
      state.store_begin = store;
      state.pending = row.prompt;
      state.done = options.max_new_tokens == 0;
      states_.push_back(std::move(state));
      const auto length = static_cast<std::int32_t>(row.prompt.size()) + options.max_new_tokens;
      store += length;
      longest = std::max<std::int64_t>(longest, length);
    }
    // The last new token is never fed back, so it needs no position.
    rotary_ = rotary_for(engine, std::max<std::int64_t>(1, longest - 1));
    store_ = make_kv_store(engine, store);
  }

  bool finished() const {
    return std::all_of(states_.begin(), states_.end(), [](const RowState& s) { return s.done; });
  }

  void step(const RunControl& control) {
    std::vector<RowState*> active;
    BatchRows rows;
    std::vector<std::vector<GatedHead>> heads;
    for (RowState& state : states_) {
      if (state.done) continue;
      active.push_back(&state);
      rows.add(state.pending, state.store_begin, state.stored);
      heads.push_back(state.row->heads);
    }
    const Batch batch(engine_.context, std::move(rows));
    Trace trace(engine_, batch.tokens(), {.keys_values = true});
    const RowGates gates(engine_, heads);
    run_forward(engine_, batch,
                {.gates = gates.zero_ablation(), .prefix = &store_, .rotary = &rotary_}, trace,
                control);
    store_keys_values(batch, trace, active);
    take_tokens(batch, trace, active);
  }

  std::vector<std::vector<std::int32_t>> take() {
    std::vector<std::vector<std::int32_t>> result;
    for (RowState& state : states_) result.push_back(std::move(state.generated));
    return result;
  }

 private:
  void check_row(const GenerateRow& row) const {
    if (row.prompt.empty()) {
      throw Error(ErrorCode::INVALID_ARGUMENT, "A prompt to continue has no tokens.");
    }
    for (const std::int32_t token : row.prompt) {
      if (token < 0 || token >= engine_.config().vocab) {
        throw Error(ErrorCode::INVALID_ARGUMENT,
                    "Token " + std::to_string(token) + " is outside the vocabulary of " +
                        std::to_string(engine_.config().vocab) + " tokens.");
      }
    }
  }

  void store_keys_values(const Batch& batch, const Trace& trace,
                         const std::vector<RowState*>& active) {
    const std::int64_t width = engine_.config().kv_heads * engine_.config().head_dim;
    for (std::int64_t layer = 0; layer < engine_.config().layers; ++layer) {
      const auto index = static_cast<std::size_t>(layer);
      for (std::size_t i = 0; i < active.size(); ++i) {
        const std::int64_t from = batch.host().row_begin[i] * width;
        const std::int64_t to = (active[i]->store_begin + active[i]->stored) * width;
        const std::int64_t count = batch.host().length(static_cast<std::int32_t>(i)) * width;
        combine(engine_.context, {.count = count,
                                  .x = trace.layer(layer).k + from,
                                  .b = 0.0f,
                                  .y = store_.k[index].data() + to});
        combine(engine_.context, {.count = count,
                                  .x = trace.layer(layer).v + from,
                                  .b = 0.0f,
                                  .y = store_.v[index].data() + to});
      }
    }
  }

  void take_tokens(const Batch& batch, const Trace& trace, const std::vector<RowState*>& active) {
    std::vector<std::int32_t> last;
    for (std::size_t i = 0; i < active.size(); ++i)
      last.push_back(batch.host().row_begin[i + 1] - 1);
    const std::int64_t vocab = engine_.config().vocab;
    Buffer<float> logits(engine_.context.backend, static_cast<std::int64_t>(last.size()) * vocab);
    run_logits(engine_, trace.final_residual(), last, logits.data());
    Buffer<std::int32_t> largest(engine_.context.backend, static_cast<std::int64_t>(last.size()));
    argmax_rows(engine_.context, static_cast<std::int64_t>(last.size()), vocab, logits.data(),
                largest.data());
    const std::vector<std::int32_t> tokens = largest.to_host();
    for (std::size_t i = 0; i < active.size(); ++i) {
      RowState& state = *active[i];
      state.stored += static_cast<std::int32_t>(state.pending.size());
      state.pending = {tokens[i]};
      state.generated.push_back(tokens[i]);
      const auto& stops = options_.stop_tokens;
      state.done = std::find(stops.begin(), stops.end(), tokens[i]) != stops.end() ||
                   static_cast<std::int32_t>(state.generated.size()) >= options_.max_new_tokens;
    }
  }

  const Engine& engine_;
  const GenerateOptions& options_;
  std::vector<RowState> states_;
  RotaryTable rotary_;
  KvStore store_;
};

}  // namespace

std::vector<std::vector<std::int32_t>> generate_greedy(const Engine& engine,
                                                       std::span<const GenerateRow> rows,
                                                       const GenerateOptions& options,
                                                       const RunControl& control) {
  if (options.max_new_tokens < 0) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "max_new_tokens must not be negative.");
  }
  if (rows.empty()) return {};
  GreedyDecoder decoder(engine, rows, options);
  std::uint64_t step = 0;
  while (!decoder.finished()) {
    control.report({step++, static_cast<std::uint64_t>(options.max_new_tokens), "generation"});
    decoder.step(control);
  }
  return decoder.take();
}

}  // namespace headspark
