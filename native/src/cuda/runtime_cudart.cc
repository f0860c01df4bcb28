// The runtime on cudart.
#include <cuda_runtime_api.h>

#include <cstdlib>

#include "cuda/runtime.h"

namespace headspark::cuda {
namespace {

cudaStream_t native(Stream stream) {
  return reinterpret_cast<cudaStream_t>(stream);
}

void check(cudaError_t status, const char* what) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // or the next call reports it again, where the device goes on
  if (status == cudaErrorMemoryAllocation) {
    throw Error(ErrorCode::OUT_OF_MEMORY,
                std::string("The GPU has no memory left to ") + what +
                    "; lower memoryBytes (--memory), or stop what else uses the GPU.");
  }
  throw Error(ErrorCode::DEVICE, std::string("The GPU failed to ") + what + ": " +
                                     cudaGetErrorString(status) +
                                     "; use --device cpu, or look at nvidia-smi and dmesg.");
}

thread_local bool captures = false;

}  // namespace

int device_count(std::string& problem) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess) return count;
  problem = cudaGetErrorString(status);
  cudaGetLastError();  // or the next launch reports it
  return -1;
}

DeviceProperties device_properties(int device) {
  cudaDeviceProp found;
  check(cudaGetDeviceProperties(&found, device), "tell its properties");
  DeviceProperties properties;
  properties.name = found.name;
  properties.compute_major = found.major;
  properties.compute_minor = found.minor;
  properties.multiprocessors = found.multiProcessorCount;
  properties.shared_bytes_per_block = static_cast<std::int64_t>(found.sharedMemPerBlockOptin);
  properties.memory_total_bytes = found.totalGlobalMem;
  return properties;
}

bool is_hardware() {
  return true;
}

int driver_version() {
  int version = 0;
  return cudaDriverGetVersion(&version) == cudaSuccess ? version : 0;
}

int runtime_version() {
  return CUDART_VERSION;
}

void use_device(int device) {
  check(cudaSetDevice(device), "start");
}

MemoryInfo memory_info() {
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  check(cudaMemGetInfo(&free_bytes, &total_bytes), "tell its free memory");
  return {free_bytes, total_bytes};
}

void* try_allocate(std::int64_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, static_cast<std::size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(status, "allocate memory");
  return memory;
}

void release(void* memory) noexcept {
  cudaFree(memory);
}

void mark_used(void*, std::int64_t) noexcept {}

void mark_free(void*, std::int64_t) noexcept {}

void* try_allocate_pinned(std::int64_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMallocHost(&memory, static_cast<std::size_t>(bytes));
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(status, "pin host memory");
  return memory;
}

void release_pinned(void* memory) noexcept {
  cudaFreeHost(memory);
}

Stream create_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "create a stream");
  return reinterpret_cast<Stream>(stream);
}

void destroy_stream(Stream stream) noexcept {
  cudaStreamDestroy(native(stream));
}

void synchronize(Stream stream) {
  check(cudaStreamSynchronize(native(stream)), "finish its work");
}

Event create_event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "create an event");
  return reinterpret_cast<Event>(event);
}

void destroy_event(Event event) noexcept {
  cudaEventDestroy(reinterpret_cast<cudaEvent_t>(event));
}

void wait_for(Stream later, Stream earlier, Event event) {
  const auto moment = reinterpret_cast<cudaEvent_t>(event);
  check(cudaEventRecord(moment, native(earlier)), "order its streams");
  check(cudaStreamWaitEvent(native(later), moment, 0), "order its streams");
}

// So that an error names the kernel it comes from, and the host may look at what a kernel wrote to
// its memory.
void settle(Stream stream) {
  static const bool waits = std::getenv("HEADSPARK_CUDA_WAIT") != nullptr;
  if (waits && !captures) synchronize(stream);
}

void copy_to_device(Stream stream, void* device, const void* host, std::int64_t bytes) {
  check(cudaMemcpyAsync(device, host, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice,
                        native(stream)),
        "copy to its memory");
  settle(stream);
}

void copy_to_host(Stream stream, void* host, const void* device, std::int64_t bytes) {
  check(cudaMemcpyAsync(host, device, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                        native(stream)),
        "copy from its memory");
  synchronize(stream);
}

void copy_on_device(Stream stream, void* to, const void* from, std::int64_t bytes) {
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToDevice,
                        native(stream)),
        "copy in its memory");
  settle(stream);
}

void zero(Stream stream, void* device, std::int64_t bytes) {
  check(cudaMemsetAsync(device, 0, static_cast<std::size_t>(bytes), native(stream)),
        "clear its memory");
  settle(stream);
}

namespace {

/// Which kernel with which sizes, for who waits for each.
std::string launch_text(const LaunchShape& shape, const void* kernel) {
  std::string text = "A kernel";
#if CUDART_VERSION >= 12030
  const char* name = nullptr;
  if (cudaFuncGetName(&name, kernel) == cudaSuccess && name != nullptr) text = name;
#else
  static_cast<void>(kernel);
#endif
  for (const auto size : {shape.grid.x, shape.grid.y, shape.grid.z}) {
    text += " " + std::to_string(size);
  }
  return text + " blocks of " + std::to_string(shape.threads) + " threads and " +
         std::to_string(shape.shared_bytes) + " bytes";
}

}  // namespace

void launch_kernel(Stream stream, const LaunchShape& shape, const void* kernel,
                   const void* params) {
  check_launch_shape(shape);
  constexpr int kWithoutOptIn = 48 << 10;  // more dynamic shared memory must be asked for
  if (shape.shared_bytes > kWithoutOptIn) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               shape.shared_bytes),
          "reserve shared memory");
  }
  const dim3 grid(static_cast<unsigned>(shape.grid.x), static_cast<unsigned>(shape.grid.y),
                  static_cast<unsigned>(shape.grid.z));
  void* arguments[] = {const_cast<void*>(params)};
  check(cudaLaunchKernel(kernel, grid, dim3(static_cast<unsigned>(shape.threads)), arguments,
                         static_cast<std::size_t>(shape.shared_bytes), native(stream)),
        "start a kernel");
  try {
    settle(stream);
  } catch (const Error& error) {
    throw Error(error.code(), launch_text(shape, kernel) + ": " + error.what());
  }
}

void begin_capture(Stream stream) {
  // Other threads may allocate meanwhile: a job of another device, say.
  check(cudaStreamBeginCapture(native(stream), cudaStreamCaptureModeThreadLocal),
        "record its work");
  captures = true;
}

Graph end_capture(Stream stream) {
  captures = false;
  cudaGraph_t recorded = nullptr;
  check(cudaStreamEndCapture(native(stream), &recorded), "record its work");
  cudaGraphExec_t graph = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&graph, recorded, 0);
  cudaGraphDestroy(recorded);
  check(status, "prepare recorded work");
  return reinterpret_cast<Graph>(graph);
}

void abandon_capture(Stream stream) noexcept {
  captures = false;
  cudaGraph_t recorded = nullptr;
  if (cudaStreamEndCapture(native(stream), &recorded) == cudaSuccess && recorded != nullptr) {
    cudaGraphDestroy(recorded);
  }
  cudaGetLastError();  // or the next call reports why the capture failed
}

void launch_graph(Stream stream, Graph graph) {
  check(cudaGraphLaunch(reinterpret_cast<cudaGraphExec_t>(graph), native(stream)),
        "start recorded work");
  settle(stream);
}

void destroy_graph(Graph graph) noexcept {
  cudaGraphExecDestroy(reinterpret_cast<cudaGraphExec_t>(graph));
}

}  // namespace headspark::cuda
