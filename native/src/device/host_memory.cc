#include "device/host_memory.h"

#include <cstdlib>
#include <mutex>
#include <string>

#include "headspark/error.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace headspark {
namespace {

constexpr std::size_t kCacheLine = 64;
// Arrays that are smaller but not small share blocks of this size.
constexpr std::size_t kSharedBytes = 8 * kHugePage;
constexpr std::size_t kSharedFrom = std::size_t{64} << 10;

/// The block that shared arrays are cut from; it lives as long as the last of them.
struct SharedBlock {
  std::mutex mutex;
  std::shared_ptr<void> memory;
  std::size_t used = 0;
};

std::shared_ptr<void> cut_from_shared(std::size_t bytes) {
  static SharedBlock block;
  const std::size_t size = (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
  const std::lock_guard lock(block.mutex);
  if (block.memory == nullptr || block.used + size > kSharedBytes) {
    void* memory = try_allocate_host(kSharedBytes);
    if (memory == nullptr) return nullptr;
    block.memory = std::shared_ptr<void>(memory, release_host);
    block.used = 0;
  }
  char* at = static_cast<char*>(block.memory.get()) + block.used;
  block.used += size;
  return {block.memory, at};
}

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
  std::shared_ptr<void> owned;
  if (const auto size = static_cast<std::size_t>(bytes); size >= kSharedFrom && size < kHugeFrom) {
    owned = cut_from_shared(size);
  } else if (void* memory = try_allocate_host(bytes); memory != nullptr) {
    owned = std::shared_ptr<void>(memory, release_host);
  }
  if (owned == nullptr) {
    throw Error(ErrorCode::OUT_OF_MEMORY,
                "Could not allocate " + std::to_string(bytes) +
                    " bytes for packed weights; free memory or use a smaller model.");
  }
  return owned;
}

}  // namespace headspark
