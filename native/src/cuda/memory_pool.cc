// Best fit with splitting, and merging of free neighbours. Small blocks have segments of their own:
// a token list must not keep the segment of a large activation from being given back.
#include "cuda/memory_pool.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cuda/runtime.h"

namespace headspark::cuda {
namespace {

constexpr std::int64_t kAlignment = 512;
constexpr std::int64_t kMebibyte = 1 << 20;
constexpr std::int64_t kLargestSmall = kMebibyte;
constexpr std::int64_t kSmallSegment = 2 * kMebibyte;  // what cudaMalloc takes at the least
constexpr std::int64_t kLargeSegment = 32 * kMebibyte;

std::int64_t rounded(std::int64_t bytes, std::int64_t to) {
  return (bytes + to - 1) / to * to;
}

/// With HEADSPARK_CUDA_POOL=none every block is an allocation of the driver's, as long as was asked
/// for: compute-sanitizer then sees what a kernel does beside a block.
bool is_off() {
  static const bool off = [] {
    const char* const setting = std::getenv("HEADSPARK_CUDA_POOL");
    return setting != nullptr && std::strcmp(setting, "none") == 0;
  }();
  return off;
}

}  // namespace

MemoryPool::~MemoryPool() {
  trim_locked();
}

void* MemoryPool::try_allocate(std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::int64_t least_size = std::max<std::int64_t>(bytes, 1);
  if (is_off()) {
    if (!add_segment(least_size, false)) return nullptr;
    return take(large_, large_.begin(), least_size, bytes);
  }
  const std::int64_t size = rounded(least_size, kAlignment);
  const bool small = size <= kLargestSmall;
  Free& free = small ? small_ : large_;
  auto found = free.lower_bound({size, nullptr});
  if (found == free.end()) {
    const std::int64_t segment =
        small ? kSmallSegment : rounded(std::max(size, kLargeSegment), 2 * kMebibyte);
    // A device that is nearly full may have room for this block though not for a whole segment.
    const std::int64_t least = small ? segment : rounded(size, 2 * kMebibyte);
    bool added = add_segment(segment, small) || add_segment(least, small);
    if (!added) {
      trim_locked();
      added = add_segment(segment, small) || add_segment(least, small);
    }
    if (!added) return nullptr;
    found = free.lower_bound({size, nullptr});
  }
  return take(free, found, size, bytes);
}

bool MemoryPool::add_segment(std::int64_t size, bool small) {
  auto* const memory = static_cast<char*>(cuda::try_allocate(size));
  if (memory == nullptr) return false;
  mark_free(memory, size);
  segments_[memory] = size;
  reserved_ += size;
  blocks_[memory] = {size, false, small, memory};
  (small ? small_ : large_).insert({size, memory});
  return true;
}

void* MemoryPool::take(Free& free, Free::iterator found, std::int64_t size, std::int64_t asked) {
  char* const memory = found->second;
  free.erase(found);
  Block& block = blocks_.at(memory);
  if (block.size > size) {
    Block rest = block;
    rest.size -= size;
    blocks_[memory + size] = rest;
    free.insert({rest.size, memory + size});
    block.size = size;
  }
  block.used = true;
  in_use_ += size;
  mark_used(memory, asked);
  return memory;
}

void MemoryPool::release(void* memory) noexcept {
  if (memory == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto block = blocks_.find(static_cast<char*>(memory));
  block->second.used = false;
  mark_free(memory, block->second.size);
  in_use_ -= block->second.size;
  free_of(block->second).insert({block->second.size, block->first});
  merge(block);
  if (is_off()) trim_locked();
}

void MemoryPool::merge(Blocks::iterator block) {
  const auto joins = [](const Blocks::iterator& a, const Blocks::iterator& b) {
    return !a->second.used && !b->second.used && a->second.segment == b->second.segment;
  };
  Free& free = free_of(block->second);
  const auto join = [&](const Blocks::iterator& first, const Blocks::iterator& second) {
    free.erase({first->second.size, first->first});
    free.erase({second->second.size, second->first});
    first->second.size += second->second.size;
    free.insert({first->second.size, first->first});
    blocks_.erase(second);
  };
  const auto next = std::next(block);
  if (next != blocks_.end() && joins(block, next)) join(block, next);
  if (block != blocks_.begin() && joins(std::prev(block), block)) join(std::prev(block), block);
}

void MemoryPool::trim() {
  const std::lock_guard lock(mutex_);
  trim_locked();
}

void MemoryPool::trim_locked() {
  for (auto segment = segments_.begin(); segment != segments_.end();) {
    const auto block = blocks_.find(segment->first);
    if (block->second.used || block->second.size != segment->second) {
      ++segment;
      continue;
    }
    free_of(block->second).erase({block->second.size, block->first});
    blocks_.erase(block);
    mark_used(segment->first, segment->second);  // it is the runtime's again
    cuda::release(segment->first);
    reserved_ -= segment->second;
    segment = segments_.erase(segment);
  }
}

std::int64_t MemoryPool::bytes_in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

std::int64_t MemoryPool::bytes_cached() const {
  const std::lock_guard lock(mutex_);
  return reserved_ - in_use_;
}

}  // namespace headspark::cuda
