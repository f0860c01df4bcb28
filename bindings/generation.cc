// Logits and greedy generation as jobs.
#include "generation.h"

#include <limits>
#include <memory>
#include <utility>

#include "arguments.h"
#include "errors.h"
#include "headspark/engine.h"
#include "headspark/generate.h"
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

struct GenerationRequest {
  std::vector<GenerateRow> rows;
  GenerateOptions options;
};

GenerationRequest generation_request(const Arguments& arguments) {
  GenerationRequest request;
  TokenRows prompts = read_rows(arguments, "prompts", "generateGreedy");
  auto heads = read_heads(arguments, "heads", "generateGreedy");
  if (heads.size() != prompts.size()) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "generateGreedy: 'heads' needs one row a prompt.");
  }
  request.options.max_new_tokens =
      static_cast<std::int32_t>(arguments.integer("maxNewTokens", 0, 1000000));
  request.options.stop_tokens = arguments.int32s("stopTokens");
  // The key/value store counts its tokens in 32 bits.
  std::int64_t stored = 0;
  for (std::size_t row = 0; row < prompts.size(); ++row) {
    stored += std::ssize(prompts[row]) + request.options.max_new_tokens;
    request.rows.push_back({.prompt = std::move(prompts[row]), .heads = std::move(heads[row])});
  }
  if (stored > std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "The prompts and their new tokens are more than 2^31 together; give fewer rows.");
  }
  return request;
}

Napi::Object rows_to_js(Napi::Env env, const TokenRows& rows) {
  std::vector<std::int32_t> values;
  std::vector<std::int32_t> offsets{0};
  for (const auto& row : rows) {
    values.insert(values.end(), row.begin(), row.end());
    offsets.push_back(static_cast<std::int32_t>(values.size()));
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("values", to_int32_array(env, std::move(values)));
  object.Set("offsets", to_int32_array(env, std::move(offsets)));
  return object;
}

// generateGreedy(model, {prompts, heads, maxNewTokens, stopTokens}, onProgress?)
//   -> {promise, cancel()}
Napi::Value js_generate_greedy(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "generateGreedy");
    const Arguments arguments(call[1], "generateGreedy");
    const JobOptions job{.device = loaded.device, .on_progress = progress_argument(call, 2)};
    return start_job(
        env, job,
        [engine = loaded.engine,
         request = generation_request(arguments)](const RunControl& control) -> Deliver {
          auto rows = std::make_shared<TokenRows>(
              generate_greedy(engine, request.rows, request.options, control));
          return [rows](Napi::Env js_env) -> Napi::Value { return rows_to_js(js_env, *rows); };
        });
  });
}

}  // namespace

void register_generation(Napi::Env env, Napi::Object exports) {
  exports.Set("computeLogits", Napi::Function::New(env, js_compute_logits, "computeLogits"));
  exports.Set("generateGreedy", Napi::Function::New(env, js_generate_greedy, "generateGreedy"));
}

}  // namespace headspark::bindings
