// Which NVIDIA GPUs the driver shows. cudart is linked statically, so a machine without a driver
// gets a sentence, not a load failure.
#include <cuda_runtime_api.h>

#include "headspark/device.h"

namespace headspark {

GpuProbe probe_gpus() {
  GpuProbe probe;
  int count = 0;
  const cudaError_t found = cudaGetDeviceCount(&count);
  if (found != cudaSuccess) {
    probe.status = std::string("No GPU is usable: ") + cudaGetErrorString(found) + ".";
    return probe;
  }
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, index) != cudaSuccess) continue;
    GpuInfo gpu;
    gpu.index = index;
    gpu.name = properties.name;
    gpu.compute_major = properties.major;
    gpu.compute_minor = properties.minor;
    gpu.memory_total_bytes = properties.totalGlobalMem;
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    if (cudaSetDevice(index) == cudaSuccess &&
        cudaMemGetInfo(&free_bytes, &total_bytes) == cudaSuccess) {
      gpu.memory_free_bytes = free_bytes;
    }
    gpu.problem = "this release has no kernels for GPUs yet and computes on the CPU.";
    probe.gpus.push_back(gpu);
  }
  probe.status = std::to_string(probe.gpus.size()) + " GPU(s) found.";
  return probe;
}

}  // namespace headspark
