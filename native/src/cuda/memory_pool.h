// The caching allocator of one device. The engine makes and drops buffers all the time, and
// cudaMalloc waits for the device; so memory is taken from the runtime in segments, cut into
// blocks, and given back only when it is needed elsewhere. All work of a device is queued on one
// stream, so a block that was released may be used again at once.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace headspark::cuda {

class MemoryPool {
 public:
  MemoryPool() = default;
  /// The device is current, and everything was released.
  ~MemoryPool();
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  /// Aligned to 512 bytes; null when the device is full even without what is cached. The device is
  /// current.
  void* try_allocate(std::int64_t bytes);
  /// From any thread; ignores null.
  void release(void* memory) noexcept;
  /// Gives the segments back in which nothing is used. The device is current.
  void trim();

  std::int64_t bytes_in_use() const;
  /// Taken from the runtime but free.
  std::int64_t bytes_cached() const;

 private:
  struct Block {
    std::int64_t size = 0;
    bool used = false;
    bool small = false;       ///< of the segments for small blocks, which are kept apart
    char* segment = nullptr;  ///< where its segment begins
  };
  using Blocks = std::map<char*, Block>;  // by address, so that neighbours are neighbours
  using Free = std::set<std::pair<std::int64_t, char*>>;

  Free& free_of(const Block& block) { return block.small ? small_ : large_; }
  bool add_segment(std::int64_t size, bool small);
  /// Cuts `size` bytes off a free block; `asked` of them are for use.
  void* take(Free& free, Free::iterator found, std::int64_t size, std::int64_t asked);
  void merge(Blocks::iterator block);
  void trim_locked();

  mutable std::mutex mutex_;
  Blocks blocks_;
  Free small_;
  Free large_;
  std::map<char*, std::int64_t> segments_;  // begin -> size
  std::int64_t reserved_ = 0;
  std::int64_t in_use_ = 0;
};

}  // namespace headspark::cuda
