// Embedding on the GPU: one thread per element. Formula: embedding_cpu.cc. Indices are not checked
// here, where the host cannot see them.
#include "cuda/elements.h"
#include "cuda/op_device.h"
#include "cuda/stored_value.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

struct EmbeddingKernel {
  DeviceMatrix table;
  const std::int32_t* indices;
  std::int64_t tokens;
  float* y;
  bool add_to_y;
  float scale;
};

HEADSPARK_KERNEL(kElementThreads) embedding_kernel(EmbeddingKernel p) {
  const std::int64_t i = element_index();
  if (i >= p.tokens * p.table.cols) return;
  const std::int64_t row = p.indices[i / p.table.cols];
  const float value = rounded_product(
      p.scale, stored_value(p.table.data, p.table.dtype, row * p.table.cols + i % p.table.cols));
  p.y[i] = p.add_to_y ? p.y[i] + value : value;
}

}  // namespace

void embedding_forward_cuda(const Context& context, const EmbeddingForward& params) {
  OpDevice& device = op_device(context);
  const DeviceMatrix table = device.table(*params.table);
  if (table.cols == 0) return;
  launch(device.stream(), element_shape(params.tokens * table.cols), &embedding_kernel,
         EmbeddingKernel{table, params.indices, params.tokens, params.y, params.add_to_y,
                         params.scale});
}

}  // namespace headspark
