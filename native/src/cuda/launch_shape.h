// How a kernel is spread over the device: a grid of blocks of `threads` threads, each block with
// its dynamic shared memory. Blocks are one-dimensional in every kernel here.
#pragma once

#include <cstdint>
#include <string>

#include "headspark/error.h"

namespace headspark::cuda {

struct Position3 {
  int x = 0;
  int y = 0;
  int z = 0;
};

struct Extent3 {
  int x = 1;
  int y = 1;
  int z = 1;
};

struct LaunchShape {
  Extent3 grid;
  int threads = 128;     ///< per block; a multiple of 32, at most 1024
  int shared_bytes = 0;  ///< per block
};

/// What a block may have on every device from sm_80 on but sm_86, sm_89 and sm_120, where it is 99
/// KB: the opt-in maximum of the CUDA programming guide, table of technical specifications.
constexpr int kLargestShared = 99 << 10;

/// Throws INTERNAL: a wrong shape is the launcher's mistake.
inline void check_launch_shape(const LaunchShape& shape) {
  const bool grid = shape.grid.x > 0 && shape.grid.y > 0 && shape.grid.z > 0 &&
                    shape.grid.y <= 65535 && shape.grid.z <= 65535;
  const bool block = shape.threads > 0 && shape.threads <= 1024 && shape.threads % 32 == 0;
  if (grid && block && shape.shared_bytes >= 0 && shape.shared_bytes <= kLargestShared) return;
  throw Error(ErrorCode::INTERNAL,
              "A kernel was launched with a grid of " + std::to_string(shape.grid.x) + " x " +
                  std::to_string(shape.grid.y) + " x " + std::to_string(shape.grid.z) +
                  " blocks of " + std::to_string(shape.threads) + " threads and " +
                  std::to_string(shape.shared_bytes) + " bytes of shared memory.");
}

/// Blocks that cover `count` items; Error(INVALID_ARGUMENT) past 2^31 - 1.
inline int blocks_for(std::int64_t count, std::int64_t per_block) {
  const std::int64_t blocks = (count + per_block - 1) / per_block;
  if (blocks > 0x7fffffff) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "A kernel over " + std::to_string(count) +
                    " items needs more blocks than a grid has; use a smaller batch.");
  }
  return static_cast<int>(blocks);
}

}  // namespace headspark::cuda
