// Blocks of floats from many places to many places in one pass: rows of several buffers, pages.
#pragma once

#include <cstdint>

#include "headspark/context.h"

namespace headspark {

struct CopyBlocks {
  std::int64_t count = 0;
  std::int64_t width = 0;              ///< floats of a block
  const float* const* from = nullptr;  ///< [count] device pointers, in device memory
  float* const* to = nullptr;          ///< [count] likewise; targets overlap nothing
};

/// to[i][0 .. width) = from[i][0 .. width) for i < count.
void copy_blocks(const Context& context, const CopyBlocks& params);

}  // namespace headspark
