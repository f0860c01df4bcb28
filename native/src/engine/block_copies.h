// Copies between scattered places of the device, collected and then made in one pass.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/growing_buffer.h"
#include "headspark/ops/copy_blocks.h"

namespace headspark {

class BlockCopies {
 public:
  explicit BlockCopies(const Context& context)
      : context_(context), device_from_(context.backend), device_to_(context.backend) {}

  /// Both are device memory.
  void add(const float* from, float* to) {
    from_.push_back(from);
    to_.push_back(to);
  }

  /// Copies `width` floats of everything that was added, and forgets it.
  void run(std::int64_t width) {
    upload();
    copy(width);
  }

  /// So that the lists of up to `count` copies stay where they are.
  void reserve(std::int64_t count) {
    device_from_.reserve(count);
    device_to_.reserve(count);
  }
  // run() in two steps: only the first moves data from the host.
  void upload() {
    count_ = static_cast<std::int64_t>(from_.size());
    device_from_.assign(from_);
    device_to_.assign(to_);
    from_.clear();
    to_.clear();
  }
  void copy(std::int64_t width) {
    copy_blocks(
        context_,
        {.count = count_, .width = width, .from = device_from_.data(), .to = device_to_.data()});
  }
  /// What copy() depends on besides the width.
  void add_to(RepeatKey& key) const {
    key.add(count_).add(device_from_.data()).add(device_to_.data());
  }

 private:
  Context context_;
  std::vector<const float*> from_;
  std::vector<float*> to_;
  std::int64_t count_ = 0;  // uploaded
  GrowingBuffer<const float*> device_from_;
  GrowingBuffer<float*> device_to_;
};

}  // namespace headspark
