// Building an engine: device, threads, and the memory budget.
#include "headspark/engine.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "engine/forward.h"
#include "engine/gates.h"
#include "engine/memory_plan.h"
#include "engine/metric_head.h"
#include "headspark/error.h"

namespace headspark {

Engine make_engine(std::shared_ptr<const Model> model, const EngineOptions& options) {
  if (options.threads > 1024) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "threads is " + std::to_string(options.threads) + "; use at most 1024.");
  }
  Engine engine;
  engine.model = std::move(model);
  engine.options = options;
  engine.context = make_cpu_context(options.threads, default_isa(), options.precision);
  if (options.device == DeviceKind::cuda) {
    engine.context.backend = make_cuda_backend(options.device_index);
  }
  const MemoryPlan plan = plan_memory(*engine.model, options, *engine.context.backend);
  engine.options.memory_bytes = plan.workspace_bytes;
  engine.context.backend->plan(plan);
  return engine;
}

std::vector<float> compute_logits(const Engine& engine, const LogitsRequest& request,
                                  const RunControl& control) {
  BatchRows rows;
  for (const auto& prompt : request.prompts) {
    if (prompt.empty()) throw Error(ErrorCode::INVALID_ARGUMENT, "A prompt has no tokens.");
    for (const std::int32_t token : prompt) {
      if (token < 0 || token >= engine.config().vocab) {
        throw Error(ErrorCode::INVALID_ARGUMENT,
                    "Token " + std::to_string(token) + " is outside the vocabulary of " +
                        std::to_string(engine.config().vocab) + " tokens.");
      }
    }
    rows.add(prompt);
  }
  if (rows.rows() == 0) return {};
  const RotaryTable rotary = rotary_for(engine, rows.longest_context);
  const Batch batch(engine.context, std::move(rows));
  Trace trace(engine, batch.tokens(), {});
  const std::vector<std::vector<GatedHead>> heads(static_cast<std::size_t>(batch.rows()),
                                                  request.heads);
  const RowGates gates(engine, heads);
  const std::vector<std::int32_t> last(static_cast<std::size_t>(batch.rows()), 1);
  const WantedTokens wanted(engine.context, batch.host(), last);
  run_forward(engine, batch,
              {.gates = gates.zero_ablation(),
               .rotary = &rotary,
               .wanted = request.all_positions ? nullptr : &wanted},
              trace, control);
  std::vector<std::int32_t> tokens(
      static_cast<std::size_t>(request.all_positions ? batch.tokens() : wanted.count()));
  std::iota(tokens.begin(), tokens.end(), 0);
  Buffer<float> logits(engine.context.backend,
                       static_cast<std::int64_t>(tokens.size()) * engine.config().vocab);
  run_logits(engine, trace.final_residual(), tokens, logits.data());
  return logits.to_host();
}

}  // namespace headspark
