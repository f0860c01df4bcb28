// The emulated CUDA device with the stand-in for cuBLASLt.
#pragma once

#include <memory>

#include "headspark/backend.h"

namespace headspark::test {

/// Weights of bf16 are multiplied by the stand-in, all else runs as on make_cuda_backend(0).
std::shared_ptr<Backend> make_library_backend();

}  // namespace headspark::test
