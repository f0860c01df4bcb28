// Proximities of information-flow routes on the GPU. Formulas: edge_contraction_cpu.cc. They sum
// |input| - |input - write| itself, in which nothing cancels; then a token's sources share them,
// and a pair's tokens are summed in order.
#include "cuda/elements.h"
#include "cuda/op_device.h"
#include "cuda/reduce.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

constexpr int kProximitySources = 4;  // of a warp, which read the input once
constexpr int kProximityReads = 4;    // of a lane and a row
constexpr int kBlockSources = kElementThreads / 32 * kProximitySources;
constexpr int kTokensAhead = 8;

struct ProximityKernel {
  FlowProximity flow;
  float* proximity;  // [tokens, sources]
};

// A block has a token and some sources.
HEADSPARK_KERNEL(kElementThreads) proximity_kernel(ProximityKernel p) {
  const FlowProximity& flow = p.flow;
  const std::int64_t first =
      static_cast<std::int64_t>(block_y()) * kBlockSources + warp_index() * kProximitySources;
  if (first >= flow.sources) return;
  const float* const input = flow.input + block_x() * flow.width;
  const float* write[kProximitySources];
  float sum[kProximitySources] = {};
  HEADSPARK_UNROLL
  for (int s = 0; s < kProximitySources; ++s) {
    // Behind the last source stands the last once more.
    const std::int64_t u = first + s < flow.sources ? first + s : flow.sources - 1;
    write[s] = flow.write + u * flow.write_stride + block_x() * flow.width;
  }
  for (std::int64_t i = lane_index(); i < flow.width; i += 32 * kProximityReads) {
    float x[kProximityReads];
    float y[kProximityReads][kProximitySources];
    HEADSPARK_UNROLL
    for (int k = 0; k < kProximityReads; ++k) {
      const bool exists = i + k * 32 < flow.width;
      x[k] = exists ? input[i + k * 32] : 0.0f;
      HEADSPARK_UNROLL
      for (int s = 0; s < kProximitySources; ++s) y[k][s] = exists ? write[s][i + k * 32] : 0.0f;
    }
    HEADSPARK_UNROLL
    for (int k = 0; k < kProximityReads; ++k) {
      HEADSPARK_UNROLL
      for (int s = 0; s < kProximitySources; ++s) {
        sum[s] += absolute(x[k]) - absolute(x[k] - y[k][s]);
      }
    }
  }
  float* const proximity = p.proximity + block_x() * flow.sources + first;
  HEADSPARK_UNROLL
  for (int s = 0; s < kProximitySources; ++s) {
    const float all = warp_sum(sum[s]);
    if (lane_index() == 0 && first + s < flow.sources) proximity[s] = all < 0.0f ? 0.0f : all;
  }
}

// A block has a token.
HEADSPARK_KERNEL(kElementThreads) proximity_shares_kernel(ProximityKernel p) {
  const std::int64_t sources = p.flow.sources;
  float* const proximity = p.proximity + block_x() * sources;
  float own = 0.0f;
  for (std::int64_t u = thread_index(); u < sources; u += kElementThreads) own += proximity[u];
  SharedMemory memory;
  const float total = block_sum(memory.take<float>(kElementThreads), kElementThreads, own);
  // No source near the input at all: the token says nothing, rather than 0 / 0.
  if (!(total > 0.0f)) return;
  for (std::int64_t u = thread_index(); u < sources; u += kElementThreads) proximity[u] /= total;
}

// A thread has a source of a pair.
HEADSPARK_KERNEL(kElementThreads) sum_tokens_kernel(ProximityKernel p) {
  const FlowProximity& flow = p.flow;
  const std::int64_t i = element_index();
  if (i >= flow.pairs * flow.sources) return;
  const std::int64_t pair = i / flow.sources;
  const float* const proximity = p.proximity + i % flow.sources;
  const std::int64_t begin = flow.begin != nullptr ? flow.begin[pair] : 0;
  const std::int64_t end = flow.begin != nullptr ? flow.begin[pair + 1] : flow.tokens;
  double sum = 0.0;
  for (std::int64_t first = begin; first < end; first += kTokensAhead) {
    float ahead[kTokensAhead];
    HEADSPARK_UNROLL
    for (int k = 0; k < kTokensAhead; ++k) {
      ahead[k] = first + k < end ? proximity[(first + k) * flow.sources] : 0.0f;
    }
    HEADSPARK_UNROLL
    for (int k = 0; k < kTokensAhead; ++k) sum += ahead[k];
  }
  flow.scores[i] = static_cast<float>(flow.scores[i] + sum);
}

}  // namespace

void flow_proximity_cuda(const Context& context, const FlowProximity& p) {
  OpDevice& device = op_device(context);
  const ProximityKernel kernel{
      p, device.scratch_floats(ScratchSlot::contraction, p.tokens * p.sources)};
  const int tokens = blocks_for(p.tokens, 1);
  launch(device.stream(), {{tokens, blocks_for(p.sources, kBlockSources)}, kElementThreads},
         &proximity_kernel, kernel);
  launch(device.stream(),
         {{tokens}, kElementThreads, kElementThreads * static_cast<int>(sizeof(float))},
         &proximity_shares_kernel, kernel);
  launch(device.stream(), element_shape(p.pairs * p.sources), &sum_tokens_kernel, kernel);
}

}  // namespace headspark
