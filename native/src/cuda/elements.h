// Kernels that are one thread per element.
#pragma once

#include "cuda/cuda_language.h"

namespace headspark::cuda {

constexpr int kElementThreads = 256;

inline LaunchShape element_shape(std::int64_t count) {
  return {{blocks_for(count, kElementThreads)}, kElementThreads};
}

HEADSPARK_DEVICE std::int64_t element_index() {
  return static_cast<std::int64_t>(block_x()) * kElementThreads + thread_index();
}

}  // namespace headspark::cuda
