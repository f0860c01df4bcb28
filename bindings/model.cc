// Loading and describing models.
#include "model.h"

#include <algorithm>
#include <utility>

#include "arguments.h"
#include "errors.h"
#include "handle.h"
#include "job.h"
#include "words.h"

namespace headspark::bindings {
namespace {

// Weights are mapped files, which cost nothing until touched, but packed copies of them do. The
// truth is not known here; this much makes V8 collect forgotten handles without hurrying it.
constexpr std::int64_t kMostReportedBytes = std::int64_t{64} << 20;

// Reading files must not wait for a computation, so loads queue for themselves.
constexpr const char* kLoadQueue = "checkpoint";

EngineOptions engine_options(const Arguments& arguments, const std::string& device) {
  EngineOptions options;
  options.threads = static_cast<int>(arguments.integer("threads", 0, 1024));
  options.precision = precision_of(arguments.string("precision"));
  options.memory_bytes = arguments.integer("memoryBytes", 0, (std::int64_t{1} << 53) - 1);
  options.batch_tokens = arguments.integer("batchTokens", 0, 1 << 20);
  options.share_prefix = arguments.boolean("sharePrefix");
  if (device != "cpu") {
    const bool named = device.rfind("cuda:", 0) == 0 && device.size() > 5 && device.size() < 9 &&
                       device.find_first_not_of("0123456789", 5) == std::string::npos;
    if (!named) {
      throw Error(ErrorCode::INVALID_ARGUMENT, "loadModel: 'device' must be cpu or cuda:N.");
    }
    options.device = DeviceKind::cuda;
    options.device_index = std::stoi(device.substr(5));
  }
  return options;
}

Deliver deliver_handle(ModelHandle::Loaded loaded) {
  return [loaded = std::move(loaded)](Napi::Env env) -> Napi::Value {
    return wrap_handle(env, std::make_unique<ModelHandle>(env, loaded));
  };
}

// loadModel({folder, adapter?, checkValues, threads, …}, onProgress?) -> {promise, cancel()}
Napi::Value js_load_model(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const Arguments arguments(call[0], "loadModel");
    const std::string folder = arguments.string("folder");
    const std::string adapter = arguments.has("adapter") ? arguments.string("adapter") : "";
    const LoadOptions load{.check_values = arguments.boolean("checkValues")};
    const std::string device = arguments.string("device");
    const EngineOptions options = engine_options(arguments, device);
    const JobOptions job{.device = kLoadQueue, .on_progress = progress_argument(call, 1)};
    return start_job(env, job, [=](const RunControl& control) -> Deliver {
      const std::shared_ptr<const Model> base = load_model(folder, load, control);
      control.check();
      const std::shared_ptr<const Model> model =
          adapter.empty() ? base : with_adapter(base, adapter, load);
      control.check();
      return deliver_handle({make_engine(model, options), base, device});
    });
  });
}

// withAdapter(model, {folder, checkValues}, onProgress?) -> {promise, cancel()}
Napi::Value js_with_adapter(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded loaded = model_argument(env, call[0], "withAdapter");
    const Arguments arguments(call[1], "withAdapter");
    const std::string folder = arguments.string("folder");
    const LoadOptions load{.check_values = arguments.boolean("checkValues")};
    const JobOptions job{.device = kLoadQueue, .on_progress = progress_argument(call, 2)};
    return start_job(env, job, [=](const RunControl& control) -> Deliver {
      ModelHandle::Loaded adapted = loaded;
      adapted.engine.model = with_adapter(loaded.base, folder, load);
      control.check();
      return deliver_handle(std::move(adapted));
    });
  });
}

void set_config(Napi::Object object, const ModelConfig& config) {
  const auto number = [&](const char* name, std::int64_t value) {
    object.Set(name, static_cast<double>(value));
  };
  object.Set("architecture", architecture_name(config.architecture));
  object.Set("modelType", config.model_type);
  number("layers", config.layers);
  number("heads", config.heads);
  number("keyValueHeads", config.kv_heads);
  number("headDim", config.head_dim);
  number("hidden", config.hidden);
  number("intermediate", config.intermediate);
  number("vocab", config.vocab);
  number("maxPositions", config.max_positions);
  object.Set("parallelBlock", config.parallel_block);
}

Napi::Value js_model_info(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "modelInfo");
    const Model& model = *loaded.engine.model;
    Napi::Object object = Napi::Object::New(env);
    set_config(object, model.config);
    object.Set("parameterCount", static_cast<double>(model.parameter_count));
    object.Set("mappedBytes", static_cast<double>(model.mapped_bytes));
    object.Set("isa", isa_name(loaded.engine.context.isa));
    object.Set("precision", precision_name(loaded.engine.context.precision));
    object.Set("threads", loaded.engine.context.threads->threads());
    object.Set("device", loaded.device);
    object.Set("folder", model.folder);
    object.Set("adapterFolder", model.adapter_folder);
    return object;
  });
}

Napi::Value js_fingerprint(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "fingerprint");
    return Napi::String::New(env, model_fingerprint(*loaded.engine.model));
  });
}

// shareModel(model) -> a handle of its own to the same model
Napi::Value js_share_model(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "shareModel");
    return wrap_handle(env, std::make_unique<ModelHandle>(env, loaded));
  });
}

Napi::Value js_release_model(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    unwrap_handle<ModelHandle>(env, call[0], "releaseModel").release();
    return env.Undefined();
  });
}

}  // namespace

ModelHandle::ModelHandle(Napi::Env env, Loaded loaded) : env_(env), loaded_(std::move(loaded)) {
  reported_bytes_ = std::min(loaded_->engine.model->mapped_bytes, kMostReportedBytes);
  Napi::MemoryManagement::AdjustExternalMemory(env_, reported_bytes_);
}

ModelHandle::~ModelHandle() {
  release();
}

const ModelHandle::Loaded& ModelHandle::loaded() const {
  if (!loaded_) throw Error(ErrorCode::INVALID_ARGUMENT, "The model was disposed; load it again.");
  return *loaded_;
}

void ModelHandle::release() {
  if (!loaded_) return;
  loaded_.reset();
  // Also called by the finalizer, where a failure could not be told to anyone.
  std::int64_t total = 0;
  napi_adjust_external_memory(env_, -reported_bytes_, &total);
}

const ModelHandle::Loaded& model_argument(Napi::Env env, const Napi::Value& value,
                                          const std::string& function) {
  return unwrap_handle<ModelHandle>(env, value, function).loaded();
}

Napi::Object start_model_job(Napi::Env env, std::shared_ptr<const Model> model,
                             const JobOptions& options, Work work) {
  return start_job(
      env, options,
      [model = std::move(model), work = std::move(work)](const RunControl& control) -> Deliver {
        Deliver deliver;
        try {
          deliver = work(control);
        } catch (const Error& error) {
          // A number that is none is no news of the model where its file was cut short.
          if (error.code() != ErrorCode::CANCELLED) check_files(*model);
          throw;
        }
        check_files(*model);
        return deliver;
      });
}

void register_model(Napi::Env env, Napi::Object exports) {
  exports.Set("loadModel", Napi::Function::New(env, js_load_model, "loadModel"));
  exports.Set("withAdapter", Napi::Function::New(env, js_with_adapter, "withAdapter"));
  exports.Set("modelInfo", Napi::Function::New(env, js_model_info, "modelInfo"));
  exports.Set("fingerprint", Napi::Function::New(env, js_fingerprint, "fingerprint"));
  exports.Set("shareModel", Napi::Function::New(env, js_share_model, "shareModel"));
  exports.Set("releaseModel", Napi::Function::New(env, js_release_model, "releaseModel"));
}

}  // namespace headspark::bindings
