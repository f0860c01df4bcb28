// Sums and maxima over a warp or a block, in a fixed order that depends on the shape alone.
#pragma once

#include "cuda/cuda_language.h"

namespace headspark::cuda {

template <typename T>
HEADSPARK_DEVICE T warp_sum(T value) {
  for (int mask = 16; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  return value;
}

/// The larger; NaN wins, so that it is not lost.
HEADSPARK_DEVICE float larger(float a, float b) {
  return a > b || a != a ? a : b;
}

/// The sum over the block's `threads` (whole warps) values, for every thread. `partial` has one
/// place per warp and is free again when this returns.
template <typename T>
HEADSPARK_DEVICE T block_sum(const SharedArray<T>& partial, int threads, T value) {
  const T own = warp_sum(value);
  if (lane_index() == 0) partial.store(warp_index(), own);
  sync_threads();
  T total = partial.load(0);
  for (int warp = 1; warp < threads / 32; ++warp) total += partial.load(warp);
  sync_threads();
  return total;
}

HEADSPARK_DEVICE float block_largest(const SharedArray<float>& partial, int threads, float value) {
  const int thread = thread_index();
  partial.store(thread, value);
  for (int half = threads / 2; half > 0; half /= 2) {
    sync_threads();
    if (thread < half) {
      partial.store(thread, larger(partial.load(thread), partial.load(thread + half)));
    }
  }
  sync_threads();
  const float largest = partial.load(0);
  sync_threads();
  return largest;
}

}  // namespace headspark::cuda
