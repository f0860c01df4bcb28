// The way of small copies to a device: through page-locked memory, in turn, so that the caller's
// bytes are free as soon as a copy is queued.
#pragma once

#include <cstdint>
#include <mutex>

#include "cuda/runtime.h"

namespace headspark::cuda {

class Staging {
 public:
  Staging() = default;
  /// The stream was waited for.
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /// Queues a copy; `host` may change when this returns. Always of one stream, and the device is
  /// current.
  void copy(Stream stream, void* device, const void* host, std::int64_t bytes);

  static constexpr std::int64_t kBytes = 8 << 20;
  /// Of a copy that goes this way; a longer one is waited for.
  static constexpr std::int64_t kLongest = 1 << 20;

 private:
  /// Page-locked memory for `bytes` bytes that nobody reads any more; null where there is none.
  void* take(Stream stream, std::int64_t bytes);

  std::mutex mutex_;
  char* memory_ = nullptr;
  bool refused_ = false;  ///< the system pins no memory
  std::int64_t taken_ = 0;
};

}  // namespace headspark::cuda
