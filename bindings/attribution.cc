// Edge scores and circuits as jobs.
#include "headspark/attribution.h"

#include <memory>
#include <utility>

#include "arguments.h"
#include "attribution.h"
#include "errors.h"
#include "headspark/circuit_eval.h"
#include "job.h"
#include "model.h"
#include "packed.h"
#include "results.h"
#include "words.h"

namespace headspark::bindings {
namespace {

Napi::Object attribution_to_js(Napi::Env env, AttributionResult& result,
                               const std::string& fingerprint) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("scores", to_float32_array(env, std::move(result.scores)));
  object.Set("pairScores", result.pair_scores.empty()
                               ? env.Null()
                               : to_float32_array(env, std::move(result.pair_scores)));
  object.Set("clean", to_float32_array(env, std::move(result.clean_metric)));
  object.Set("corrupted", to_float32_array(env, std::move(result.corrupted_metric)));
  object.Set("fingerprint", fingerprint);
  return object;
}

// Of pairs and of destinations; what there is of them the core checks.
constexpr std::int64_t most_indices = std::int64_t{1} << 31;

PairRange range_of(const Arguments& arguments) {
  return {arguments.integer("begin", 0, most_indices), arguments.integer("end", 0, most_indices)};
}

AttributionOptions attribution_options(const Arguments& arguments) {
  AttributionOptions options;
  options.method = method_of(arguments.string("method"));
  options.metric = metric_of(arguments.string("metric"));
  options.ig_steps = static_cast<int>(arguments.integer("igSteps", 1, 10000));
  options.ig_grid = grid_of(arguments.string("igGrid"));
  options.kv_edges = kv_edges_of(arguments.string("kvEdges"));
  options.keep_pair_scores = arguments.boolean("keepPairScores");
  options.range = range_of(arguments);
  options.columns = {arguments.integer("beginColumn", 0, most_indices),
                     arguments.integer("endColumn", -1, most_indices)};
  return options;
}

// attribute(model, {pairs, begin, end, method, …}, onProgress?) -> {promise, cancel()}
Napi::Value js_attribute(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "attribute");
    const Arguments arguments(call[1], "attribute");
    const AttributionOptions options = attribution_options(arguments);
    const JobOptions job{.device = loaded.device, .on_progress = progress_argument(call, 2)};
    return start_model_job(env, loaded.engine.model, job,
                           [engine = loaded.engine, pairs = read_pairs(arguments, "attribute"),
                            options](const RunControl& control) -> Deliver {
                             auto result = std::make_shared<AttributionResult>(
                                 attribute(engine, pairs, options, control));
                             const std::string fingerprint = model_fingerprint(*engine.model);
                             return [result, fingerprint](Napi::Env js_env) -> Napi::Value {
                               return attribution_to_js(js_env, *result, fingerprint);
                             };
                           });
  });
}

Napi::Object circuits_to_js(Napi::Env env, CircuitEvalResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("values", to_float32_array(env, std::move(result.values)));
  object.Set("clean", to_float32_array(env, std::move(result.clean_metric)));
  object.Set("corrupted", to_float32_array(env, std::move(result.corrupted_metric)));
  return object;
}

// evaluateCircuits(model, {pairs, begin, end, circuits, metric, …}, onProgress?) -> {promise,
// cancel()}
Napi::Value js_evaluate_circuits(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "evaluateCircuits");
    const Arguments arguments(call[1], "evaluateCircuits");
    CircuitEvalOptions options;
    options.metric = metric_of(arguments.string("metric"));
    options.kv_edges = kv_edges_of(arguments.string("kvEdges"));
    options.excluded = excluded_of(arguments.string("excluded"));
    options.range = range_of(arguments);
    const JobOptions job{.device = loaded.device, .on_progress = progress_argument(call, 2)};
    return start_model_job(
        env, loaded.engine.model, job,
        [engine = loaded.engine, pairs = read_pairs(arguments, "evaluateCircuits"),
         circuits = arguments.uint8s("circuits"), options](const RunControl& control) -> Deliver {
          auto result = std::make_shared<CircuitEvalResult>(
              evaluate_circuits(engine, pairs, circuits, options, control));
          return
              [result](Napi::Env js_env) -> Napi::Value { return circuits_to_js(js_env, *result); };
        });
  });
}

}  // namespace

void register_attribution(Napi::Env env, Napi::Object exports) {
  exports.Set("attribute", Napi::Function::New(env, js_attribute, "attribute"));
  exports.Set("evaluateCircuits",
              Napi::Function::New(env, js_evaluate_circuits, "evaluateCircuits"));
}

}  // namespace headspark::bindings
