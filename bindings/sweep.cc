// Sweeps as handles: prepared by one job, run by any number of others.
#include "headspark/sweep.h"

#include <memory>
#include <utility>

#include "arguments.h"
#include "errors.h"
#include "handle.h"
#include "job.h"
#include "model.h"
#include "packed.h"
#include "results.h"
#include "sweep.h"
#include "words.h"

namespace headspark::bindings {
namespace {

struct SweepHandle {
  static constexpr napi_type_tag type_tag{0x6865616473706172ULL, 0x6b2d737765657031ULL};
  static constexpr const char* noun = "sweep";

  std::shared_ptr<const Sweep> sweep;  // null after a release
  std::shared_ptr<const Model> model;
  std::string device;
};

// createSweep(model, {pairs, metric, ablation, positions}, onProgress?) -> {promise, cancel()}
Napi::Value js_create_sweep(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "createSweep");
    const Arguments arguments(call[1], "createSweep");
    SweepOptions options;
    options.metric = metric_of(arguments.string("metric"));
    options.kind = ablation_of(arguments.string("ablation"));
    options.positions = positions_of(arguments.string("positions"));
    const JobOptions job{.device = loaded.device, .on_progress = progress_argument(call, 2)};
    return start_model_job(
        env, loaded.engine.model, job,
        [engine = loaded.engine, device = loaded.device,
         pairs = read_pairs(arguments, "createSweep"),
         options](const RunControl& control) -> Deliver {
          auto sweep = std::make_shared<const Sweep>(engine, pairs, options, control);
          return
              [handle = SweepHandle{sweep, engine.model, device}](Napi::Env js_env) -> Napi::Value {
                return wrap_handle(js_env, std::make_unique<SweepHandle>(handle));
              };
        });
  });
}

Napi::Object values_to_js(Napi::Env env, Sweep::Result& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("values", to_float32_array(env, std::move(result.values)));
  object.Set("correct", to_uint8_array(env, std::move(result.correct)));
  return object;
}

std::vector<AblationVariant> variants_argument(const Arguments& arguments,
                                               const std::string& function) {
  std::vector<AblationVariant> variants;
  for (auto& heads : read_heads(arguments, "variants", function)) {
    variants.push_back({.heads = std::move(heads)});
  }
  return variants;
}

const SweepHandle& live_sweep(Napi::Env env, const Napi::Value& value,
                              const std::string& function) {
  const SweepHandle& handle = unwrap_handle<SweepHandle>(env, value, function);
  if (handle.sweep) return handle;
  throw Error(ErrorCode::INVALID_ARGUMENT, "The sweep was disposed; create it again.");
}

// sweepSharing(sweep, {variants}) -> {layerTokens, unsharedLayerTokens}
Napi::Value js_sweep_sharing(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const SweepHandle& handle = live_sweep(env, call[0], "sweepSharing");
    const Arguments arguments(call[1], "sweepSharing");
    const SweepSharing sharing =
        handle.sweep->sharing(variants_argument(arguments, "sweepSharing"));
    Napi::Object object = Napi::Object::New(env);
    object.Set("layerTokens", static_cast<double>(sharing.layer_tokens));
    object.Set("unsharedLayerTokens", static_cast<double>(sharing.unshared_layer_tokens));
    return object;
  });
}

// runSweep(sweep, {variants}, onProgress?) -> {promise, cancel()}
Napi::Value js_run_sweep(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const SweepHandle& handle = live_sweep(env, call[0], "runSweep");
    const Arguments arguments(call[1], "runSweep");
    std::vector<AblationVariant> variants = variants_argument(arguments, "runSweep");
    const JobOptions job{.device = handle.device, .on_progress = progress_argument(call, 2)};
    return start_model_job(env, handle.model, job,
                           [sweep = handle.sweep,
                            variants = std::move(variants)](const RunControl& control) -> Deliver {
                             auto result =
                                 std::make_shared<Sweep::Result>(sweep->run(variants, control));
                             return [result](Napi::Env js_env) -> Napi::Value {
                               return values_to_js(js_env, *result);
                             };
                           });
  });
}

Napi::Value js_release_sweep(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    unwrap_handle<SweepHandle>(env, call[0], "releaseSweep") = {};
    return env.Undefined();
  });
}

}  // namespace

void register_sweep(Napi::Env env, Napi::Object exports) {
  exports.Set("createSweep", Napi::Function::New(env, js_create_sweep, "createSweep"));
  exports.Set("runSweep", Napi::Function::New(env, js_run_sweep, "runSweep"));
  exports.Set("sweepSharing", Napi::Function::New(env, js_sweep_sharing, "sweepSharing"));
  exports.Set("releaseSweep", Napi::Function::New(env, js_release_sweep, "releaseSweep"));
}

}  // namespace headspark::bindings
