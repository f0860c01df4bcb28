// Building an engine: device, threads, and the memory budget.
#include "headspark/engine.h"

#include <string>

#include "engine/memory_plan.h"
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

}  // namespace headspark
