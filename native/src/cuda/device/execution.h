// Who a thread is, and the block's barrier.
#pragma once

namespace headspark::cuda {

HEADSPARK_DEVICE int thread_index() {
  return static_cast<int>(threadIdx.x);
}
HEADSPARK_DEVICE int block_threads() {
  return static_cast<int>(blockDim.x);
}
HEADSPARK_DEVICE int lane_index() {
  return static_cast<int>(threadIdx.x & 31);
}
HEADSPARK_DEVICE int warp_index() {
  return static_cast<int>(threadIdx.x >> 5);
}
HEADSPARK_DEVICE int block_x() {
  return static_cast<int>(blockIdx.x);
}
HEADSPARK_DEVICE int block_y() {
  return static_cast<int>(blockIdx.y);
}
HEADSPARK_DEVICE int block_z() {
  return static_cast<int>(blockIdx.z);
}
HEADSPARK_DEVICE int grid_x() {
  return static_cast<int>(gridDim.x);
}

/// All threads of the block meet here, and see each other's shared memory.
HEADSPARK_DEVICE void sync_threads() {
  __syncthreads();
}

}  // namespace headspark::cuda
