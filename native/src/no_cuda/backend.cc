// Linked in builds without CUDA: asking for a GPU is a clear error.
#include "headspark/backend.h"

#include "headspark/error.h"

namespace headspark {

std::shared_ptr<Backend> make_cuda_backend(int index) {
  throw Error(ErrorCode::DEVICE, "CUDA device " + std::to_string(index) +
                                     " was asked for, but this build has no CUDA backend; use the "
                                     "CPU device.");
}

}  // namespace headspark
