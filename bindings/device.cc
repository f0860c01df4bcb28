// deviceInfo(), hiddenIsa() and measurePeak(). Also the smallest example of a synchronous and of a
// job binding.
#include "device.h"

#include "arguments.h"
#include "errors.h"
#include "headspark/device.h"
#include "job.h"

namespace headspark::bindings {
namespace {

Napi::Object features_to_js(Napi::Env env, const CpuFeatures& features) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("avx2", features.avx2);
  object.Set("fma", features.fma);
  object.Set("f16c", features.f16c);
  object.Set("avx512f", features.avx512f);
  object.Set("avx512bw", features.avx512bw);
  object.Set("avx512vl", features.avx512vl);
  object.Set("avx512dq", features.avx512dq);
  object.Set("avx512Bf16", features.avx512_bf16);
  object.Set("amxTile", features.amx_tile);
  object.Set("amxBf16", features.amx_bf16);
  object.Set("amxFp16", features.amx_fp16);
  return object;
}

template <typename T>
Napi::Value optional_number(Napi::Env env, const std::optional<T>& value) {
  if (!value) return env.Null();
  return Napi::Number::New(env, static_cast<double>(*value));
}

Napi::Object gpus_to_js(Napi::Env env, const GpuProbe& probe) {
  Napi::Array gpus = Napi::Array::New(env, probe.gpus.size());
  for (std::uint32_t index = 0; index < gpus.Length(); ++index) {
    const GpuInfo& gpu = probe.gpus[index];
    Napi::Object object = Napi::Object::New(env);
    object.Set("index", gpu.index);
    object.Set("name", gpu.name);
    object.Set("computeCapability",
               std::to_string(gpu.compute_major) + "." + std::to_string(gpu.compute_minor));
    object.Set("memoryTotalBytes", static_cast<double>(gpu.memory_total_bytes));
    object.Set("memoryFreeBytes", static_cast<double>(gpu.memory_free_bytes));
    object.Set("problem", gpu.problem.empty() ? Napi::Value(env.Null())
                                              : Napi::Value(Napi::String::New(env, gpu.problem)));
    gpus.Set(index, object);
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("status", probe.status);
  object.Set("cublasLt", probe.cublas_lt.empty()
                             ? Napi::Value(env.Null())
                             : Napi::Value(Napi::String::New(env, probe.cublas_lt)));
  object.Set("products", probe.products);
  object.Set("devices", gpus);
  return object;
}

Napi::Value js_device_info(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const DeviceInfo info = device_info();
    Napi::Object object = Napi::Object::New(env);
    object.Set("cpuName", info.cpu_name);
    object.Set("architecture", info.architecture);
    object.Set("isa", isa_name(info.isa));
    object.Set("features", features_to_js(env, info.features));
    object.Set("logicalCpus", info.logical_cpus);
    object.Set("physicalCores", info.physical_cores);
    object.Set("usableThreads", info.usable_threads);
    object.Set("memoryTotalBytes", static_cast<double>(info.memory_total_bytes));
    object.Set("memoryAvailableBytes", static_cast<double>(info.memory_available_bytes));
    object.Set("cgroupCpus", optional_number(env, info.cgroup.cpus));
    object.Set("cgroupMemoryBytes", optional_number(env, info.cgroup.memory_bytes));
    object.Set("gpu", gpus_to_js(env, probe_gpus(call[0].ToBoolean())));
    return object;
  });
}

Napi::Value js_hidden_isa(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const Isa best = best_running_isa();
    if (best == machine_isa()) return env.Null();
    return Napi::String::New(env, isa_name(best));
  });
}

Napi::Object peak_to_js(Napi::Env env, const PeakResult& peak) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("threads", peak.threads);
  object.Set("isa", isa_name(peak.isa));
  object.Set("fmaGflops", peak.fma_gflops);
  object.Set("copyGbPerS", peak.copy_gb_per_s);
  return object;
}

// measurePeak({milliseconds, threads, copyBytes}, onProgress?) -> {promise, cancel()}
Napi::Value js_measure_peak(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const Arguments arguments(call[0], "measurePeak");
    PeakOptions options;
    options.milliseconds = static_cast<int>(arguments.integer("milliseconds", 1, 60000));
    options.threads = static_cast<int>(arguments.integer("threads", 0, 1024));
    options.copy_bytes =
        static_cast<std::uint64_t>(arguments.integer("copyBytes", 4096, std::int64_t{1} << 32));
    const JobOptions job{.device = "cpu", .on_progress = progress_argument(call, 1)};
    return start_job(env, job, [options](const RunControl& control) -> Deliver {
      const PeakResult peak = measure_peak(options, control);
      return [peak](Napi::Env js_env) -> Napi::Value { return peak_to_js(js_env, peak); };
    });
  });
}

}  // namespace

void register_device(Napi::Env env, Napi::Object exports) {
  exports.Set("deviceInfo", Napi::Function::New(env, js_device_info, "deviceInfo"));
  exports.Set("hiddenIsa", Napi::Function::New(env, js_hidden_isa, "hiddenIsa"));
  exports.Set("measurePeak", Napi::Function::New(env, js_measure_peak, "measurePeak"));
}

}  // namespace headspark::bindings
