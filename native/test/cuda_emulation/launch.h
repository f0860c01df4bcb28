// The twin of src/cuda/launch.h: a kernel is called once per thread of the grid, at once or, where
// the stream is captured, whenever its graph is launched.
#pragma once

#include <cstdint>
#include <functional>
#include <type_traits>

#include "cuda/runtime.h"
#include "cuda_emulation/block.h"
#include "cuda_emulation/ptx/kernels.h"
#include "cuda_emulation/runtime_emulated.h"

namespace headspark::cuda {

namespace emulated {

/// What one thread of a grid does: the kernel as the host's compiler made it, or as nvcc did.
template <typename Params>
std::function<void()> thread_of(void (*kernel)(Params), const Params& params) {
#if defined(HEADSPARK_EMULATION_PTX)
  static_assert(std::is_trivially_copyable_v<Params>);
  const auto* const translated =
      &cuda_emulation::ptx::kernel_at(reinterpret_cast<const void*>(kernel), sizeof(Params));
  return [translated, params] { translated->thread(reinterpret_cast<std::uintptr_t>(&params)); };
#else
  return [kernel, params] { kernel(params); };
#endif
}

}  // namespace emulated

template <typename Params>
void launch(Stream stream, const LaunchShape& shape, void (*kernel)(Params), const Params& params) {
  check_launch_shape(shape);
  queue(stream, [shape, kernel, thread = emulated::thread_of(kernel, params)] {
    cuda_emulation::run_grid(shape, thread, reinterpret_cast<const void*>(kernel));
  });
}

}  // namespace headspark::cuda
