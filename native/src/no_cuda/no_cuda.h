// What every stub of the missing CUDA backend says.
#pragma once

#include <string>

#include "headspark/error.h"

namespace headspark {

[[noreturn]] inline void throw_no_cuda(const char* op) {
  throw Error(ErrorCode::DEVICE, std::string(op) +
                                     " was asked to run on a CUDA device, but this build has no "
                                     "CUDA backend; use the CPU device.");
}

}  // namespace headspark
