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
    copy_blocks(context_, {.count = static_cast<std::int64_t>(from_.size()),
                           .width = width,
                           .from = device_from_.assign(from_),
                           .to = device_to_.assign(to_)});
    from_.clear();
    to_.clear();
  }

 private:
  Context context_;
  std::vector<const float*> from_;
  std::vector<float*> to_;
  GrowingBuffer<const float*> device_from_;
  GrowingBuffer<float*> device_to_;
};

}  // namespace headspark
