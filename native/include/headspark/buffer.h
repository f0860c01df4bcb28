// An owned array on a backend's device. Sized once by whoever plans the work, then reused.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "headspark/backend.h"

namespace headspark {

template <typename T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<Backend> backend, std::int64_t count)
      : backend_(std::move(backend)), count_(count) {
    if (count_ > 0) {
      data_ = static_cast<T*>(backend_->allocate(count_ * static_cast<std::int64_t>(sizeof(T))));
    }
  }
  Buffer(std::shared_ptr<Backend> backend, std::span<const T> host)
      : Buffer(std::move(backend), static_cast<std::int64_t>(host.size())) {
    if (count_ > 0) backend_->copy_to_device(data_, host.data(), bytes());
  }
  ~Buffer() { reset(); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) {
      reset();
      swap(other);
    }
    return *this;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::int64_t size() const { return count_; }
  std::int64_t bytes() const { return count_ * static_cast<std::int64_t>(sizeof(T)); }
  bool empty() const { return count_ == 0; }

  void zero() {
    if (count_ > 0) backend_->zero(data_, bytes());
  }
  std::vector<T> to_host() const {
    std::vector<T> host(static_cast<std::size_t>(count_));
    if (count_ > 0) backend_->copy_to_host(host.data(), data_, bytes());
    return host;
  }

 private:
  void reset() noexcept {
    if (data_ != nullptr) backend_->release(data_);
    data_ = nullptr;
    count_ = 0;
  }
  void swap(Buffer& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
  }

  std::shared_ptr<Backend> backend_;
  T* data_ = nullptr;
  std::int64_t count_ = 0;
};

}  // namespace headspark
