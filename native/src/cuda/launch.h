// Starts a kernel; every kernel takes one struct by value. The twin is in test/cuda_emulation.
#pragma once

#include "cuda/runtime.h"

namespace headspark::cuda {

/// Queued on `stream`; Error(DEVICE) where the device refuses it.
template <typename Params>
void launch(Stream stream, const LaunchShape& shape, void (*kernel)(Params), const Params& params) {
  launch_kernel(stream, shape, reinterpret_cast<const void*>(kernel), &params);
}

}  // namespace headspark::cuda
