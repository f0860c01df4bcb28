// An owned array of the host that nobody zeroes first: for large results, of which every element is
// written. On huge pages where the system gives them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace headspark {

struct ReleaseHostMemory {
  void operator()(void* memory) const noexcept;
};
using HostMemory = std::unique_ptr<void, ReleaseHostMemory>;

/// `count` values of `size` bytes, 64-byte aligned and uninitialised; null for none. `what` is for
/// the message: "the logits". Error(OUT_OF_MEMORY).
HostMemory make_host_memory(std::int64_t count, std::int64_t size, const std::string& what);

/// Moves, and does not copy: whoever wants a copy makes a vector of it.
template <typename T>
class HostArray {
  static_assert(std::is_trivial_v<T>);

 public:
  HostArray() = default;
  /// See make_host_memory.
  HostArray(std::int64_t count, const std::string& what)
      : memory_(make_host_memory(count, sizeof(T), what)), count_(count) {}
  HostArray(HostArray&& other) noexcept
      : memory_(std::move(other.memory_)), count_(std::exchange(other.count_, 0)) {}
  HostArray& operator=(HostArray&& other) noexcept {
    memory_ = std::move(other.memory_);
    count_ = std::exchange(other.count_, 0);
    return *this;
  }

  T* data() { return static_cast<T*>(memory_.get()); }
  const T* data() const { return static_cast<const T*>(memory_.get()); }
  std::size_t size() const { return static_cast<std::size_t>(count_); }
  bool empty() const { return count_ == 0; }
  T* begin() { return data(); }
  T* end() { return data() + count_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + count_; }
  const T& operator[](std::size_t index) const { return data()[index]; }

 private:
  HostMemory memory_;
  std::int64_t count_ = 0;
};

}  // namespace headspark
