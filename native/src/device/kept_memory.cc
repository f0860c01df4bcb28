#include "device/kept_memory.h"

#include <algorithm>

#include "device/host_memory.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(0))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(0))
#endif

namespace headspark {
namespace {

// More than any job has at once; there is room for them before anything is released.
constexpr std::size_t kMostKept = 1024;

}  // namespace

KeptMemory::~KeptMemory() {
  shrink(0);
}

void* KeptMemory::try_allocate(std::int64_t bytes) {
  if (bytes < kHugeFrom) return try_allocate_host(bytes);
  const std::int64_t size = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  const std::lock_guard lock(mutex_);
  Block block = take_kept(size);
  if (block.memory == nullptr) {
    shrink(std::max<std::int64_t>(most_used_ - used_bytes_ - size, 0));
    block = {try_allocate_host(size), size};
    if (block.memory == nullptr && kept_bytes_ > 0) {
      shrink(0);
      block.memory = try_allocate_host(size);
    }
    if (block.memory == nullptr) return nullptr;
  }
  used_[block.memory] = block.size;
  used_bytes_ += block.size;
  most_used_ = std::max(most_used_, used_bytes_);
  return block.memory;
}

KeptMemory::Block KeptMemory::take_kept(std::int64_t size) {
  auto best = kept_.end();
  for (auto block = kept_.begin(); block != kept_.end(); ++block) {
    const bool fits = block->size >= size && block->size <= size + size / 4;
    if (fits && (best == kept_.end() || block->size < best->size)) best = block;
  }
  if (best == kept_.end()) return {};
  const Block block = *best;
  kept_.erase(best);
  kept_bytes_ -= block.size;
  ASAN_UNPOISON_MEMORY_REGION(block.memory, static_cast<std::size_t>(block.size));
  return block;
}

void KeptMemory::release(void* memory) noexcept {
  if (memory == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(memory);
  if (found == used_.end()) return release_host(memory);
  const Block block{memory, found->second};
  used_.erase(found);
  used_bytes_ -= block.size;
  if (users_ == 0 || kept_.size() == kMostKept) return release_host(memory);
  ASAN_POISON_MEMORY_REGION(block.memory, static_cast<std::size_t>(block.size));
  kept_.push_back(block);  // reserved
  kept_bytes_ += block.size;
}

void KeptMemory::shrink(std::int64_t most) noexcept {
  std::size_t count = 0;
  while (kept_bytes_ > most) {
    const Block& block = kept_[count++];
    ASAN_UNPOISON_MEMORY_REGION(block.memory, static_cast<std::size_t>(block.size));
    release_host(block.memory);
    kept_bytes_ -= block.size;
  }
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(count));
}

void KeptMemory::begin() {
  const std::lock_guard lock(mutex_);
  kept_.reserve(kMostKept);
  if (users_++ == 0) most_used_ = used_bytes_;
}

void KeptMemory::end() noexcept {
  const std::lock_guard lock(mutex_);
  if (--users_ == 0) shrink(0);
}

std::int64_t KeptMemory::bytes_kept() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

}  // namespace headspark
