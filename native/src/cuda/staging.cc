// Page-locked memory used from its begin to its end, and then again once the stream was waited for.
#include "cuda/staging.h"

#include <cstring>

namespace headspark::cuda {

Staging::~Staging() {
  if (memory_ != nullptr) release_pinned(memory_);
}

void Staging::copy(Stream stream, void* device, const void* host, std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  void* const staged = bytes <= kLongest ? take(stream, bytes) : nullptr;
  if (staged == nullptr) {
    copy_to_device(stream, device, host, bytes);
    synchronize(stream);
    return;
  }
  std::memcpy(staged, host, static_cast<std::size_t>(bytes));
  copy_to_device(stream, device, staged, bytes);
}

void* Staging::take(Stream stream, std::int64_t bytes) {
  if (memory_ == nullptr && !refused_) {
    memory_ = static_cast<char*>(try_allocate_pinned(kBytes));
    refused_ = memory_ == nullptr;
  }
  if (memory_ == nullptr) return nullptr;
  if (taken_ + bytes > kBytes) {
    synchronize(stream);
    taken_ = 0;
  }
  void* const memory = memory_ + taken_;
  constexpr std::int64_t kAlignment = 64;
  taken_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return memory;
}

}  // namespace headspark::cuda
