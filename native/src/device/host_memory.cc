#include "device/host_memory.h"

#include <cstdlib>
#include <string>

#include "headspark/error.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace headspark {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
// Smaller arrays would leave most of a huge page unused.
constexpr std::size_t kHugeFrom = 2 * kHugePage;

}  // namespace

void* try_allocate_host(std::int64_t bytes) noexcept {
  const std::size_t wanted = bytes > 0 ? static_cast<std::size_t>(bytes) : 1;
  const bool huge = wanted >= kHugeFrom;
  const std::size_t alignment = huge ? kHugePage : kCacheLine;
  void* memory = nullptr;  // posix_memalign, unlike aligned_alloc, takes any size
  if (posix_memalign(&memory, alignment, wanted) != 0) return nullptr;
#if defined(__linux__)
  // Whole huge pages only, so that the tail takes no more than it needs. A refusal changes nothing.
  if (huge) madvise(memory, wanted / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return memory;
}

void release_host(void* memory) noexcept {
  std::free(memory);
}

std::shared_ptr<void> allocate_host_memory(std::int64_t bytes) {
  void* memory = try_allocate_host(bytes);
  if (memory == nullptr) {
    throw Error(ErrorCode::OUT_OF_MEMORY,
                "Could not allocate " + std::to_string(bytes) +
                    " bytes for packed weights; free memory or use a smaller model.");
  }
  return std::shared_ptr<void>(memory, release_host);
}

}  // namespace headspark
