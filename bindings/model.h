// Loaded models as JavaScript holds them, and loadModel, withAdapter, modelInfo, fingerprint and
// releaseModel.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "headspark/engine.h"
#include "job.h"
#include "napi.h"

namespace headspark::bindings {

// One loaded model with the engine it runs on. Jobs copy the engine, so that a release in mid-run
// takes nothing from under them.
class ModelHandle {
 public:
  static constexpr napi_type_tag type_tag{0x6865616473706172ULL, 0x6b2d6d6f64656c31ULL};
  static constexpr const char* noun = "model";

  struct Loaded {
    Engine engine;
    std::shared_ptr<const Model> base;  // the model without its adapter
    std::string device;                 // "cpu", "cuda:0": the queue that jobs wait in
  };

  // Tells the garbage collector of `env` that memory hangs on this handle.
  ModelHandle(Napi::Env env, Loaded loaded);
  ~ModelHandle();
  ModelHandle(const ModelHandle&) = delete;
  ModelHandle& operator=(const ModelHandle&) = delete;

  // Throws INVALID_ARGUMENT after release().
  const Loaded& loaded() const;
  void release();

 private:
  Napi::Env env_;
  std::optional<Loaded> loaded_;
  std::int64_t reported_bytes_ = 0;
};

// The model that argument `value` of `function` is the handle of; INVALID_ARGUMENT otherwise.
const ModelHandle::Loaded& model_argument(Napi::Env env, const Napi::Value& value,
                                          const std::string& function);

// start_job for work that reads a model's weights: what it produced is delivered only if their
// files are what they were at loading, else the promise rejects with FILE_CHANGED.
Napi::Object start_model_job(Napi::Env env, std::shared_ptr<const Model> model,
                             const JobOptions& options, Work work);

void register_model(Napi::Env env, Napi::Object exports);

}  // namespace headspark::bindings
