// The addon's entry: registers every group of functions. All state is per environment, so the same
// file loads in worker_threads and more than once.
#include "activations.h"
#include "attribution.h"
#include "device.h"
#include "errors.h"
#include "generation.h"
#include "heads.h"
#include "job.h"
#include "logits.h"
#include "model.h"
#include "napi.h"
#include "resampling.h"
#include "sweep.h"

namespace headspark::bindings {
namespace {

Napi::Value js_build_info(const Napi::CallbackInfo& call) {
  Napi::Object object = Napi::Object::New(call.Env());
  object.Set("version", HEADSPARK_VERSION);
  object.Set("compiler", HEADSPARK_COMPILER);
  object.Set("buildType", HEADSPARK_BUILD_TYPE);
  object.Set("napiVersion", NAPI_VERSION);
  object.Set("cuda", bool{HEADSPARK_CUDA});
  return object;
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  init_jobs(env);
  exports.Set("version", HEADSPARK_VERSION);
  exports.Set("buildInfo", Napi::Function::New(env, js_build_info, "buildInfo"));
  register_device(env, exports);
  register_model(env, exports);
  register_attribution(env, exports);
  register_sweep(env, exports);
  register_logits(env, exports);
  register_heads(env, exports);
  register_activations(env, exports);
  register_generation(env, exports);
  register_resampling(env, exports);
  return exports;
}

}  // namespace
}  // namespace headspark::bindings

// The macro takes an unqualified name.
static Napi::Object init_addon(Napi::Env env, Napi::Object exports) {
  return headspark::bindings::init(env, exports);
}

NODE_API_MODULE(headspark, init_addon)
