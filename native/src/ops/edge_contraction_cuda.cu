// The attribution sums on the GPU. Formulas: edge_contraction_cpu.cc. The contraction is a product
// over a long depth, in pieces of fixed size; proximities sum |input| - |input - write| itself, in
// which nothing cancels.
#include "cuda/elements.h"
#include "cuda/gemm.h"
#include "cuda/reduce.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

// Long enough that the sums of the pieces cost little, short enough to fill the device when there
// are few edges: 128 tokens of 1536 are 48 pieces.
constexpr std::int64_t kDepthSplit = 4096;
constexpr int kThreads = 256;

struct ProximityKernel {
  FlowProximity flow;
  float* proximity;  // [tokens, sources]
};

// One token per block, one source per warp at a time; then the shares of the token.
HEADSPARK_KERNEL(kThreads) proximity_kernel(ProximityKernel p) {
  const FlowProximity& flow = p.flow;
  const float* input = flow.input + block_x() * flow.width;
  float* proximity = p.proximity + block_x() * flow.sources;
  for (std::int64_t u = warp_index(); u < flow.sources; u += kThreads / 32) {
    const float* write = flow.write + u * flow.write_stride + block_x() * flow.width;
    float sum = 0.0f;
    for (std::int64_t i = lane_index(); i < flow.width; i += 32) {
      sum += absolute(input[i]) - absolute(input[i] - write[i]);
    }
    sum = warp_sum(sum);
    if (lane_index() == 0) proximity[u] = sum < 0.0f ? 0.0f : sum;
  }
  sync_threads();
  float own = 0.0f;
  for (std::int64_t u = thread_index(); u < flow.sources; u += kThreads) own += proximity[u];
  SharedMemory memory;
  const float total = block_sum(memory.take<float>(kThreads), kThreads, own);
  // No source near the input at all: the token says nothing, rather than 0 / 0.
  if (!(total > 0.0f)) return;
  for (std::int64_t u = thread_index(); u < flow.sources; u += kThreads) proximity[u] /= total;
}

HEADSPARK_KERNEL(kElementThreads) sum_tokens_kernel(ProximityKernel p) {
  const std::int64_t u = element_index();
  if (u >= p.flow.sources) return;
  double sum = 0.0;
  for (std::int64_t t = 0; t < p.flow.tokens; ++t) sum += p.proximity[t * p.flow.sources + u];
  p.flow.scores[u] = static_cast<float>(p.flow.scores[u] + sum);
}

}  // namespace

void edge_contraction_cuda(const Context& context, const EdgeContraction& p) {
  Gemm product;
  product.rows = p.sources;
  product.columns = p.destinations;
  product.depth = p.length;
  product.a = {p.delta, p.delta_stride};
  product.b = {p.gradient, DType::f32, p.gradient_stride};
  product.c = p.scores;
  product.c_stride = p.scores_stride;
  product.initial = p.scores;
  product.depth_split = kDepthSplit;
  gemm(op_device(context), context.precision, product);
}

void flow_proximity_cuda(const Context& context, const FlowProximity& p) {
  if (p.tokens == 0 || p.sources == 0) return;
  OpDevice& device = op_device(context);
  const ProximityKernel kernel{
      p, device.scratch_floats(ScratchSlot::contraction, p.tokens * p.sources)};
  launch(device.stream(),
         {{blocks_for(p.tokens, 1)}, kThreads, kThreads * static_cast<int>(sizeof(float))},
         &proximity_kernel, kernel);
  launch(device.stream(), element_shape(p.sources), &sum_tokens_kernel, kernel);
}

}  // namespace headspark
