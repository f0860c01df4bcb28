// Argument checks of the ops: one sentence that names the op and the argument.
#pragma once

#include <string>

#include "headspark/context.h"
#include "headspark/dtype.h"
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

/// Rows between ops are floats; in `fast` a GPU keeps some as bf16 in their room.
inline void check_row_type(const Context& context, DType type, const char* op) {
  const bool narrow =
      type == DType::bf16 && !context.on_cpu() && context.precision == Precision::fast;
  check_argument(type == DType::f32 || narrow, op,
                 "type is neither f32 nor, in fast on a GPU, bf16");
}

}  // namespace headspark
