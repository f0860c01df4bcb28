// Work that is queued again and again, with other values at the same addresses: a device may record
// it once and then repeat it as a whole (CUDA graphs), which costs the host one call.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <vector>

namespace headspark {

/// All that the ops of some work are given by value: sizes, addresses and what chooses between
/// them. Work of equal keys is equal.
class RepeatKey {
 public:
  template <std::integral T>
  RepeatKey& add(T value) {
    parts_.push_back(static_cast<std::uint64_t>(value));
    return *this;
  }
  RepeatKey& add(const void* address) { return add(reinterpret_cast<std::uintptr_t>(address)); }
  bool operator==(const RepeatKey&) const = default;

 private:
  std::vector<std::uint64_t> parts_;
};

/// How often work ran op by op, was recorded, and was repeated from a record.
struct RepeatCounts {
  std::int64_t plain = 0;
  std::int64_t recorded = 0;
  std::int64_t repeated = 0;  ///< also right after it was recorded
  std::int64_t dropped = 0;   ///< records given up for others, or because memory has moved
};

/// Used by one thread at a time.
class RepeatedWork {
 public:
  virtual ~RepeatedWork() = default;

  /// Queues what `work` queues, by calling it or from a record of an earlier call with this key.
  /// `work` calls ops on device memory and does nothing else that counts: it neither allocates nor
  /// copies from or to the host, and it may run twice. What it throws comes out.
  virtual void run(const RepeatKey& key, const std::function<void()>& work) = 0;

  virtual RepeatCounts counts() const = 0;
};

}  // namespace headspark
