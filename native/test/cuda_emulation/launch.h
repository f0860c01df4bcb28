// The twin of src/cuda/launch.h: a kernel is called once per thread of the grid, at once or, where
// the stream is captured, whenever its graph is launched.
#pragma once

#include "cuda/runtime.h"
#include "cuda_emulation/block.h"
#include "cuda_emulation/runtime_emulated.h"

namespace headspark::cuda {

template <typename Params>
void launch(Stream stream, const LaunchShape& shape, void (*kernel)(Params), const Params& params) {
  check_launch_shape(shape);
  queue(stream, [shape, kernel, params] {
    cuda_emulation::run_grid(
        shape, [kernel, &params] { kernel(params); }, reinterpret_cast<const void*>(kernel));
  });
}

}  // namespace headspark::cuda
