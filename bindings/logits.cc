// Logits as a job.
#include "logits.h"

#include <memory>
#include <utility>

#include "arguments.h"
#include "errors.h"
#include "headspark/engine.h"
#include "job.h"
#include "model.h"
#include "packed.h"
#include "results.h"

namespace headspark::bindings {
namespace {

// computeLogits(model, {prompts, heads (of each prompt), allPositions}, onProgress?) -> {promise,
// cancel()}
Napi::Value js_compute_logits(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "computeLogits");
    const Arguments arguments(call[1], "computeLogits");
    LogitsRequest request;
    request.prompts = read_rows(arguments, "prompts", "computeLogits");
    request.heads = read_heads(arguments, "heads", "computeLogits");
    request.all_positions = arguments.boolean("allPositions");
    const JobOptions job{.device = loaded.device, .on_progress = progress_argument(call, 2)};
    return start_model_job(env, loaded.engine.model, job,
                           [engine = loaded.engine,
                            request = std::move(request)](const RunControl& control) -> Deliver {
                             auto logits = std::make_shared<HostArray<float>>(
                                 compute_logits(engine, request, control));
                             return [logits](Napi::Env js_env) -> Napi::Value {
                               return to_float32_array(js_env, std::move(*logits));
                             };
                           });
  });
}

}  // namespace

void register_logits(Napi::Env env, Napi::Object exports) {
  exports.Set("computeLogits", Napi::Function::New(env, js_compute_logits, "computeLogits"));
}

}  // namespace headspark::bindings
