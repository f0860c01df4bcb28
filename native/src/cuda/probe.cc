// Which NVIDIA GPUs the driver shows. cudart is linked statically, so a machine without a driver
// gets a sentence, not a load failure.
#include "cuda/cublas_lt.h"
#include "cuda/device.h"
#include "cuda/runtime.h"
#include "headspark/device.h"
#include "headspark/error.h"

namespace headspark {
namespace {

GpuInfo describe(int index, bool free_memory) {
  GpuInfo gpu;
  gpu.index = index;
  try {
    const cuda::DeviceProperties properties = cuda::device_properties(index);
    gpu.name = properties.name;
    gpu.compute_major = properties.compute_major;
    gpu.compute_minor = properties.compute_minor;
    gpu.memory_total_bytes = properties.memory_total_bytes;
    gpu.problem = cuda::device_problem(properties);
    if (!gpu.problem.empty() || !free_memory) return gpu;
    cuda::enter_device(index);
    gpu.memory_free_bytes = cuda::memory_info().free_bytes;
  } catch (const Error& error) {
    gpu.problem = error.what();
  }
  return gpu;
}

}  // namespace

GpuProbe probe_gpus(bool free_memory) {
  GpuProbe probe;
  std::string problem;
  const int count = cuda::device_count(problem);
  if (count <= 0) {
    probe.status =
        "No GPU is usable: " + (count < 0 ? cuda::unusable_text(problem) : "none is there") + ".";
    return probe;
  }
  for (int index = 0; index < count; ++index) {
    probe.gpus.push_back(describe(index, free_memory));
  }
  probe.status = std::to_string(count) + " GPU(s) found; the driver is for CUDA " +
                 cuda::cuda_version_text(cuda::driver_version()) + ".";
  const cuda::CublasLt::Opened& library = cuda::CublasLt::get();
  probe.cublas_lt = library.path;
  probe.products = cuda::products_text(library);
  return probe;
}

}  // namespace headspark
