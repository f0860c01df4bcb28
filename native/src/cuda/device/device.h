// The thin device functions on a real GPU: one instruction or intrinsic each. The twins are in
// test/cuda_emulation. Compiled by nvcc only; reached through cuda_language.h. No GPU has run them,
// nor a kernel, yet: what kernels compute is checked on the twins, and what nvcc 13.0 makes of
// these on the same emulated device (the preset cuda_ptx).
#pragma once

#include "cuda/device/async_copy.h"
#include "cuda/device/convert.h"
#include "cuda/device/execution.h"
#include "cuda/device/load.h"
#include "cuda/device/mathematics.h"
#include "cuda/device/matrix.h"
#include "cuda/device/shared.h"
#include "cuda/device/warp.h"
#include "cuda/launch.h"
