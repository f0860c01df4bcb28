// Replaces the global operator new and delete (aligned ones keep the ordinary heap: no array of a
// test is over-aligned). A pool takes large pieces, since the driver takes long for each.
#include "gpu/mapped_memory.h"

#include <cuda_runtime_api.h>

#include <cstdio>
#include <cstdlib>
#include <memory_resource>
#include <new>

namespace headspark::test {
namespace {

// An error of a kernel stays with the process, so that every later call gives it: then the GPU is
// there, and what went wrong happened before.
[[noreturn]] void end_process(cudaError_t status) {
  const char* const text = cudaGetErrorString(status);
  switch (status) {
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorInitializationError:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorSystemNotReady:
    case cudaErrorDevicesUnavailable:
      std::fprintf(stderr, "The tests of a GPU find none: %s.\n", text);
      std::_Exit(1);
    default:
      std::fprintf(
          stderr,
          "The GPU failed (%s: %s), at this or an earlier call; the process can do nothing "
          "more there. Run the case above it alone.\n",
          cudaGetErrorName(status), text);
      std::_Exit(3);
  }
}

/// A step that is being recorded may allocate on the host: that is no part of it, and drivers
/// refuse it of a thread that records unless it says so.
class OutsideRecording {
 public:
  OutsideRecording() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  ~OutsideRecording() { cudaThreadExchangeStreamCaptureMode(&mode_); }
  OutsideRecording(const OutsideRecording&) = delete;
  OutsideRecording& operator=(const OutsideRecording&) = delete;

 private:
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

}  // namespace

void* allocate_mapped(std::size_t bytes) {
  const OutsideRecording outside;
  void* memory = nullptr;
  const cudaError_t status =
      cudaHostAlloc(&memory, bytes, cudaHostAllocMapped | cudaHostAllocPortable);
  if (status == cudaSuccess) return memory;
  if (status == cudaErrorMemoryAllocation) return nullptr;
  end_process(status);
}

void release_mapped(void* memory) noexcept {
  const OutsideRecording outside;
  cudaFreeHost(memory);
}

namespace {

class MappedResource final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t) override {
    void* memory = allocate_mapped(bytes);
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
  void do_deallocate(void* memory, std::size_t, std::size_t) override { release_mapped(memory); }
  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

std::pmr::memory_resource& heap() {
  // Never destroyed: what static objects give back comes after everything.
  alignas(MappedResource) static std::byte resource[sizeof(MappedResource)];
  using Pool = std::pmr::synchronized_pool_resource;
  alignas(Pool) static std::byte pool[sizeof(Pool)];
  static Pool* const made = new (pool)
      Pool({.max_blocks_per_chunk = 0, .largest_required_pool_block = std::size_t{1} << 22},
           new (resource) MappedResource);
  return *made;
}

// In front of each block: how long it is with this.
constexpr std::size_t kHeader = alignof(std::max_align_t);

}  // namespace
}  // namespace headspark::test

void* operator new(std::size_t bytes) {
  using namespace headspark::test;
  if (bytes > PTRDIFF_MAX - kHeader) throw std::bad_alloc();
  auto* const block = static_cast<std::byte*>(heap().allocate(bytes + kHeader, kHeader));
  *reinterpret_cast<std::size_t*>(block) = bytes + kHeader;
  return block + kHeader;
}

void operator delete(void* memory) noexcept {
  using namespace headspark::test;
  if (memory == nullptr) return;
  std::byte* const block = static_cast<std::byte*>(memory) - kHeader;
  heap().deallocate(block, *reinterpret_cast<std::size_t*>(block), kHeader);
}

void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}
