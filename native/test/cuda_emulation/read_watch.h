// Counts the bytes of device memory that kernels read 16 or 8 at a time: what a kernel's floor is
// reckoned in.
#pragma once

#include <cstdint>
#include <map>

namespace headspark::cuda_emulation {

/// While it lives, reads of the arrays that it watches are counted. One at a time.
class ReadWatch {
 public:
  ReadWatch();
  ~ReadWatch();
  ReadWatch(const ReadWatch&) = delete;
  ReadWatch& operator=(const ReadWatch&) = delete;

  void add(const float* begin, std::int64_t floats);
  /// Bytes read of the array that begins there.
  std::int64_t bytes(const float* begin) const { return arrays_.at(begin).read; }

  /// Called by the device functions.
  static void note(const float* p, std::int64_t bytes);

 private:
  struct Array {
    std::int64_t floats = 0;
    std::int64_t read = 0;
  };
  std::map<const float*, Array> arrays_;
};

}  // namespace headspark::cuda_emulation
