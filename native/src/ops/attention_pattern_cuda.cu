// Attention probabilities of chosen heads on the GPU: a block per query, a thread per key, in fp32.
// Formula: attention_pattern_cpu.cc. For drawings and head properties, of few heads: not tuned.
#include "cuda/attention_tiles.h"
#include "cuda/op_device.h"
#include "cuda/reduce.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

constexpr int kPatternThreads = 128;

HEADSPARK_DEVICE float scaled_score(const AttentionPattern& p, const HeadAt& at, std::int64_t own,
                                    const float* key) {
  const float* q = p.q + at.query(own);
  float sum = 0.0f;
  for (std::int64_t d = 0; d < p.shape.head_dim; ++d) sum = multiply_add(q[d], key[d], sum);
  return sum * p.shape.scale;
}

// The key at a position that the row has.
HEADSPARK_DEVICE const float* key_at(const AttentionPattern& p, const HeadAt& at,
                                     std::int64_t position) {
  const bool stored = position < at.prefix;
  const std::int64_t token = stored ? at.prefix_begin + position : at.begin + position - at.prefix;
  return (stored ? p.prefix_k : p.k) + (token * at.shape.kv_heads + at.kv_head) * at.shape.head_dim;
}

// block_x is the own token, block_y the place in the list of heads, block_z the row.
HEADSPARK_KERNEL(kPatternThreads) pattern_kernel(AttentionPattern p) {
  const std::int64_t own = block_x();
  const std::int64_t row = block_z();
  const HeadAt at = head_at(p.shape, p.layout, row * p.shape.heads + p.heads[block_y()]);
  if (own >= at.own) return;
  const std::int64_t context = at.prefix + at.own;
  const std::int64_t first = p.shape.first_key(at.prefix + own);
  const std::int64_t seen = at.prefix + own + 1;
  float* pattern = p.pattern + p.pattern_begin[row] + (block_y() * at.own + own) * context;
  float largest = -infinity();
  for (std::int64_t j = first + thread_index(); j < seen; j += kPatternThreads) {
    pattern[j] = scaled_score(p, at, own, key_at(p, at, j));
    largest = larger(pattern[j], largest);
  }
  SharedMemory memory;
  const SharedArray<float> partial = memory.take<float>(kPatternThreads);
  largest = block_largest(partial, kPatternThreads, largest);
  float sum = 0.0f;
  for (std::int64_t j = first + thread_index(); j < seen; j += kPatternThreads) {
    pattern[j] = exponential(pattern[j] - largest);
    sum += pattern[j];
  }
  sum = block_sum(partial, kPatternThreads, sum);
  for (std::int64_t j = thread_index(); j < context; j += kPatternThreads) {
    pattern[j] = j >= first && j < seen ? pattern[j] / sum : 0.0f;
  }
}

}  // namespace

void attention_pattern_cuda(const Context& context, const AttentionPattern& p) {
  if (p.layout.longest_row <= 0 || p.count == 0) return;
  launch(op_device(context).stream(),
         {{p.layout.longest_row, static_cast<int>(p.count), p.layout.rows},
          kPatternThreads,
          kPatternThreads * static_cast<int>(sizeof(float))},
         &pattern_kernel, p);
}

}  // namespace headspark
