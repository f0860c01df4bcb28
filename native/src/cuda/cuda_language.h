// The language that kernels are written in, and the only place that knows who compiles them: nvcc
// for a device, or a C++ compiler against the execution model of test/cuda_emulation, whose
// functions have the same names. Kernels include this header and use nothing else of CUDA.
#pragma once

namespace headspark::cuda {

/// quick_power_of_two(kLog2OfE * x) is exp(x).
constexpr float kLog2OfE = 1.4426950408889634f;

}  // namespace headspark::cuda

#if defined(HEADSPARK_CUDA_EMULATED)
#define HEADSPARK_KERNEL(...) inline void
#define HEADSPARK_DEVICE inline
#define HEADSPARK_UNROLL
#define HEADSPARK_ROLL
#include "cuda_emulation/device.h"
#else
#define HEADSPARK_KERNEL(...) __global__ void __launch_bounds__(__VA_ARGS__)
#define HEADSPARK_DEVICE __device__ __forceinline__
#define HEADSPARK_UNROLL _Pragma("unroll")
#define HEADSPARK_ROLL _Pragma("unroll 1")
#include "cuda/device/device.h"
#endif
