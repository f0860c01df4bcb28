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

// Prompts of one forward pass; more rows than this make a GEMM no faster, only the memory larger.
constexpr std::int64_t kBatchTokens = 1024;

std::vector<float> logits_in_batches(const Engine& engine, LogitsRequest request,
                                     const RunControl& control) {
  const TokenRows prompts = std::move(request.prompts);
  const std::int64_t limit =
      engine.options.batch_tokens > 0 ? engine.options.batch_tokens : kBatchTokens;
  std::vector<float> logits;
  for (std::size_t begin = 0; begin < prompts.size();) {
    control.check();
    control.report({begin, prompts.size(), "prompts"});
    request.prompts.clear();
    std::int64_t tokens = 0;
    std::size_t end = begin;
    while (end < prompts.size() && (end == begin || tokens + std::ssize(prompts[end]) <= limit)) {
      tokens += std::ssize(prompts[end]);
      request.prompts.push_back(prompts[end++]);
    }
    const std::vector<float> part = compute_logits(engine, request, control);
    logits.insert(logits.end(), part.begin(), part.end());
    begin = end;
  }
  control.report({prompts.size(), prompts.size(), "prompts"});
  return logits;
}

// computeLogits(model, {prompts, heads, allPositions}, onProgress?) -> {promise, cancel()}
Napi::Value js_compute_logits(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "computeLogits");
    const Arguments arguments(call[1], "computeLogits");
    LogitsRequest request;
    request.prompts = read_rows(arguments, "prompts", "computeLogits");
    auto heads = read_heads(arguments, "heads", "computeLogits");
    if (heads.size() != 1) {
      throw Error(ErrorCode::INVALID_ARGUMENT, "computeLogits: 'heads' must have one row.");
    }
    request.heads = std::move(heads.front());
    request.all_positions = arguments.boolean("allPositions");
    const JobOptions job{.device = loaded.device, .on_progress = progress_argument(call, 2)};
    return start_job(env, job,
                     [engine = loaded.engine,
                      request = std::move(request)](const RunControl& control) -> Deliver {
                       auto logits = std::make_shared<std::vector<float>>(
                           logits_in_batches(engine, request, control));
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
