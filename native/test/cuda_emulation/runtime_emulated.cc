// The twin of src/cuda/runtime_cudart.cc: one device whose memory is the host's (so that
// AddressSanitizer watches it) and whose kernels run when they are launched.
#include <cstdlib>
#include <cstring>

#include "cuda/runtime.h"

namespace headspark::cuda {
namespace {

constexpr std::uint64_t kMemoryBytes = std::uint64_t{4} << 30;

void check_device(int device) {
  if (device == 0) return;
  throw Error(ErrorCode::DEVICE, "There is no emulated device " + std::to_string(device) + ".");
}

}  // namespace

int device_count(std::string&) {
  return 1;
}

DeviceProperties device_properties(int device) {
  check_device(device);
  return {"emulated CUDA device", 8, 0, 4, kLargestShared, kMemoryBytes};
}

int driver_version() {
  return 0;
}

void use_device(int device) {
  check_device(device);
}

MemoryInfo memory_info() {
  return {kMemoryBytes, kMemoryBytes};
}

void* try_allocate(std::int64_t bytes) {
  if (bytes < 0 || static_cast<std::uint64_t>(bytes) > kMemoryBytes) return nullptr;
  void* memory = nullptr;
  const auto size = static_cast<std::size_t>(bytes > 0 ? bytes : 1);
  return posix_memalign(&memory, 256, size) == 0 ? memory : nullptr;
}

void release(void* memory) noexcept {
  std::free(memory);
}

void* try_allocate_pinned(std::int64_t bytes) {
  return try_allocate(bytes);
}

void release_pinned(void* memory) noexcept {
  std::free(memory);
}

Stream create_stream() {
  return nullptr;
}

void destroy_stream(Stream) noexcept {}

void synchronize(Stream) {}

void copy_to_device(Stream, void* device, const void* host, std::int64_t bytes) {
  if (bytes > 0) std::memcpy(device, host, static_cast<std::size_t>(bytes));
}

void copy_to_host(Stream, void* host, const void* device, std::int64_t bytes) {
  if (bytes > 0) std::memcpy(host, device, static_cast<std::size_t>(bytes));
}

void copy_on_device(Stream, void* to, const void* from, std::int64_t bytes) {
  if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
}

void zero(Stream, void* device, std::int64_t bytes) {
  if (bytes > 0) std::memset(device, 0, static_cast<std::size_t>(bytes));
}

void launch_kernel(Stream, const LaunchShape&, const void*, const void*) {
  throw Error(ErrorCode::INTERNAL, "The emulated device launches kernels by launch() alone.");
}

}  // namespace headspark::cuda
