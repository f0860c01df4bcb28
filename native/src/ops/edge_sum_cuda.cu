// What destinations read in a circuit, on the GPU: a thread sums one position for eight
// destinations, so that a difference is read once for all of them. Sums run over sources in order:
// the same bits as edge_sum_cpu.cc.
#include "cuda/cuda_language.h"
#include "cuda/elements.h"
#include "cuda/op_device.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

constexpr int kDestinations = 8;  // per thread, in registers

HEADSPARK_KERNEL(kElementThreads) edge_sum_kernel(EdgeSum p) {
  const std::int64_t i = element_index();
  const std::int64_t first = static_cast<std::int64_t>(block_y()) * kDestinations;
  if (i >= p.length) return;
  float sum[kDestinations];
  HEADSPARK_UNROLL
  for (int v = 0; v < kDestinations; ++v) {
    sum[v] = 0.0f;
    if (p.base != nullptr) {
      sum[v] = p.base[i];
    } else if (first + v < p.destinations) {
      sum[v] = p.y[(first + v) * p.y_stride + i];
    }
  }
  for (std::int64_t u = 0; u < p.sources; ++u) {
    const std::uint8_t* mask = p.mask + u * p.mask_stride + first;
    const float difference = p.difference[u * p.difference_stride + i];
    HEADSPARK_UNROLL
    for (int v = 0; v < kDestinations; ++v) {
      if (first + v < p.destinations && mask[v] != 0) sum[v] += difference;
    }
  }
  HEADSPARK_UNROLL
  for (int v = 0; v < kDestinations; ++v) {
    if (first + v < p.destinations) p.y[(first + v) * p.y_stride + i] = sum[v];
  }
}

}  // namespace

void edge_sum_cuda(const Context& context, const EdgeSum& params) {
  if (params.destinations == 0 || params.length == 0) return;
  const LaunchShape shape{
      {blocks_for(params.length, kElementThreads), blocks_for(params.destinations, kDestinations)},
      kElementThreads};
  launch(op_device(context).stream(), shape, &edge_sum_kernel, params);
}

}  // namespace headspark
