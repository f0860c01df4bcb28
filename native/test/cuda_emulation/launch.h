// The twin of src/cuda/launch.h: a kernel is called once per thread of the grid.
#pragma once

#include "cuda/runtime.h"
#include "cuda_emulation/block.h"

namespace headspark::cuda {

template <typename Params>
void launch(Stream, const LaunchShape& shape, void (*kernel)(Params), const Params& params) {
  cuda_emulation::run_grid(shape, [kernel, &params] { kernel(params); });
}

}  // namespace headspark::cuda
