// Scattered copies on the GPU: one thread per float. Formula: copy_blocks_cpu.cc.
#include "cuda/cuda_language.h"
#include "cuda/elements.h"
#include "cuda/op_device.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

HEADSPARK_KERNEL(kElementThreads) copy_blocks_kernel(CopyBlocks p) {
  const std::int64_t i = element_index();
  if (i >= p.count * p.width) return;
  p.to[i / p.width][i % p.width] = p.from[i / p.width][i % p.width];
}

}  // namespace

void copy_blocks_cuda(const Context& context, const CopyBlocks& params) {
  launch(op_device(context).stream(), element_shape(params.count * params.width),
         &copy_blocks_kernel, params);
}

}  // namespace headspark
