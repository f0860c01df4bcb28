// Large arrays of the CPU between two uses. The ops of every layer make and drop arrays of the same
// sizes; taken from the system each time, those of many tokens cost more page faults (2 MiB are
// cleared at a time, by one thread, while the others wait) than arithmetic.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace headspark {

class KeptMemory {
 public:
  KeptMemory() = default;
  ~KeptMemory();
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;

  /// 64-byte aligned, uninitialised; null when there is no memory.
  void* try_allocate(std::int64_t bytes);
  /// From any thread; ignores null.
  void release(void* memory) noexcept;

  /// From here on until as many calls of `end`, what is released is kept; then all of it goes back
  /// to the system. What is kept and what is in use never exceed the most that was in use at once.
  void begin();
  void end() noexcept;

  std::int64_t bytes_kept() const;

 private:
  struct Block {
    void* memory = nullptr;
    std::int64_t size = 0;
  };

  /// Its memory is null where none of about this size is kept.
  Block take_kept(std::int64_t size);
  /// Gives back what has been unused for longest, until no more than `most` bytes are kept.
  void shrink(std::int64_t most) noexcept;

  mutable std::mutex mutex_;
  std::map<void*, std::int64_t> used_;  ///< large arrays alone
  std::vector<Block> kept_;             ///< longest unused first
  std::int64_t used_bytes_ = 0;
  std::int64_t kept_bytes_ = 0;
  std::int64_t most_used_ = 0;  ///< at once, since `begin`
  int users_ = 0;
};

}  // namespace headspark
