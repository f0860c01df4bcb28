// A device without hardware: its memory is addresses that the host cannot touch. Every device
// address lies in a reservation that no access is allowed to; the bytes are at a fixed distance
// from it, which only copies and the ops of this backend know. The engine on it computes what it
// computes on the CPU, or crashes where it takes device memory for its own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "headspark/backend.h"

namespace headspark::test {

/// All memory of the device, for the whole process.
class SeparateMemory {
 public:
  static SeparateMemory& get();

  /// Filled with 0xff bytes, which are NaN, so that nobody counts on zeros.
  void* allocate(std::int64_t bytes);
  void release(void* device) noexcept;
  /// Where the bytes of [device, device + bytes) are. Throws INTERNAL for any other address.
  void* bytes_at(const void* device, std::int64_t bytes) const;

  std::int64_t bytes_in_use() const;
  /// Allocations since the process began.
  std::int64_t allocations() const;
  /// The device's size; allocate() throws OUT_OF_MEMORY beyond it. kLargest by default.
  void set_size(std::int64_t bytes);
  std::int64_t available() const;

  static constexpr std::int64_t kLargest = std::int64_t{1} << 34;

 private:
  SeparateMemory();

  char* device_ = nullptr;  // the reservation, PROT_NONE
  char* bytes_ = nullptr;
  mutable std::mutex mutex_;
  std::map<std::int64_t, std::int64_t> used_;  // offset -> size
  std::int64_t in_use_ = 0;
  std::int64_t allocations_ = 0;
  std::int64_t size_ = kLargest;
};

std::shared_ptr<Backend> make_separate_backend();

}  // namespace headspark::test
