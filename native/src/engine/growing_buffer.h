// A device array that is reused from step to step and grows to the largest use.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "headspark/buffer.h"

namespace headspark {

template <typename T>
class GrowingBuffer {
 public:
  explicit GrowingBuffer(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {}

  /// Room for `count` values; what was there is lost when it grows.
  T* reserve(std::int64_t count) {
    if (count > buffer_.size()) {
      const std::int64_t grown = std::max(count, buffer_.size() * 3 / 2);
      buffer_ = Buffer<T>();
      buffer_ = Buffer<T>(backend_, grown);
    }
    return buffer_.data();
  }
  const T* assign(std::span<const T> host) {
    T* device = reserve(static_cast<std::int64_t>(host.size()));
    if (!host.empty()) {
      backend_->copy_to_device(device, host.data(), static_cast<std::int64_t>(host.size_bytes()));
    }
    return device;
  }
  /// Overwrites what lies from `begin` on, within what was reserved.
  void write(std::int64_t begin, std::span<const T> host) {
    if (host.empty()) return;
    backend_->copy_to_device(buffer_.data() + begin, host.data(),
                             static_cast<std::int64_t>(host.size_bytes()));
  }
  T* data() { return buffer_.data(); }
  const T* data() const { return buffer_.data(); }

 private:
  std::shared_ptr<Backend> backend_;
  Buffer<T> buffer_;
};

}  // namespace headspark
