// Head activations as a job.
#include "activations.h"

#include <memory>
#include <utility>

#include "arguments.h"
#include "errors.h"
#include "headspark/head_activations.h"
#include "job.h"
#include "model.h"
#include "packed.h"
#include "results.h"
#include "words.h"

namespace headspark::bindings {
namespace {

// headActivations(model, {sequences, rows, writeNorms}, onProgress?)
//   -> {promise of {rows, z, writeNorms}, cancel()}
Napi::Value js_head_activations(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "headActivations");
    const Arguments arguments(call[1], "headActivations");
    HeadActivationsRequest request;
    request.sequences = read_rows(arguments, "sequences", "headActivations");
    request.rows = activation_rows_of(arguments.string("rows"));
    request.write_norms = arguments.boolean("writeNorms");
    const JobOptions job{.device = loaded.device, .on_progress = progress_argument(call, 2)};
    return start_model_job(
        env, loaded.engine.model, job,
        [engine = loaded.engine,
         request = std::move(request)](const RunControl& control) -> Deliver {
          auto found =
              std::make_shared<HeadActivations>(head_activations(engine, request, control));
          return [found](Napi::Env js_env) -> Napi::Value {
            Napi::Object object = Napi::Object::New(js_env);
            object.Set("rows", Napi::Number::New(js_env, static_cast<double>(found->rows)));
            object.Set("z", to_float32_array(js_env, std::move(found->z)));
            object.Set("writeNorms", to_float32_array(js_env, std::move(found->write_norms)));
            return object;
          };
        });
  });
}

}  // namespace

void register_activations(Napi::Env env, Napi::Object exports) {
  exports.Set("headActivations", Napi::Function::New(env, js_head_activations, "headActivations"));
}

}  // namespace headspark::bindings
