// Argument checks of the ops: one sentence that names the op and the argument.
#pragma once

#include <string>

#include "headspark/error.h"

namespace headspark {

inline void check_argument(bool ok, const char* op, const char* problem) {
  if (!ok) throw Error(ErrorCode::INVALID_ARGUMENT, std::string(op) + ": " + problem + ".");
}

inline void check_pointer(const void* pointer, const char* op, const char* argument) {
  if (pointer == nullptr) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                std::string(op) + ": " + argument + " is null; pass an array of this backend.");
  }
}

}  // namespace headspark
