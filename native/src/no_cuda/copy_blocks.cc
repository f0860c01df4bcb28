// Linked in builds without CUDA: the symbol of copy_blocks_cuda, a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void copy_blocks_cuda(const Context&, const CopyBlocks&) {
  throw_no_cuda("copy_blocks");
}

}  // namespace headspark
