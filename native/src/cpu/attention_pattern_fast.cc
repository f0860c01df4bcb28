// Attention patterns: the first half of attention_forward_fast.cc (scores by the GEMM micro-kernel,
// softmax in place), for the chosen heads of a group together, and a scaled copy out.
#include <algorithm>
#include <vector>

#include "cpu/attention_head.h"
#include "cpu/fast_ops.h"

namespace headspark {
namespace {

constexpr std::int64_t kPatternQueries = 24;  // whole tiles of 6 and of 12 rows

/// The chosen heads of one (row, kv head). Query f is token f / members of member f % members.
class PatternItem {
 public:
  PatternItem(const KernelTable& kernels, const AttentionPattern& p, std::int64_t item)
      : kernels_(kernels), p_(p), at_(p.shape, p.layout, item), dim_(p.shape.head_dim) {
    const std::int64_t first = at_.kv_head * at_.group;
    const std::int32_t* begin = std::lower_bound(p.heads, p.heads + p.count, first);
    first_ = begin - p.heads;
    members_ = std::lower_bound(begin, p.heads + p.count, first + at_.group) - begin;
  }

  void run() {
    const std::int64_t queries = at_.own * members_;
    if (queries == 0) return;
    keys_ = key_panels(kernels_, at_.rows(p_.k, p_.prefix_k, {0, at_.context()}), dim_,
                       ScratchSlot::key_panels, ScratchSlot::key_terms);
    query_rows_ = HeadRows(kernels_, kPatternQueries, dim_, ScratchSlot::query_rows,
                           ScratchSlot::query_packed);
    scores_ = scratch(ScratchSlot::scores, round_up(at_.context(), kDepthBlock) / kDepthBlock *
                                               kPatternQueries * kTileStride);
    for (std::int64_t f = 0; f < queries; f += kPatternQueries) {
      block(f, std::min(kPatternQueries, queries - f));
    }
  }

 private:
  Range seen(std::int64_t f) const { return at_.seen(f / members_); }
  const float* query(std::int64_t f) const {
    const std::int64_t token = at_.begin + f / members_;
    return p_.q + (token * p_.shape.heads + p_.heads[first_ + f % members_]) * dim_;
  }
  float* map_row(std::int64_t f) const {
    const std::int64_t map = first_ + f % members_;
    return p_.pattern + p_.pattern_begin[at_.row] + (map * at_.own + f / members_) * at_.context();
  }
  float* chunk(std::int64_t key) const {
    return scores_ + key / kDepthBlock * kPatternQueries * kTileStride;
  }

  void block(std::int64_t first, std::int64_t count) {
    const Range keys = at_.chunks(first / members_, (first + count - 1) / members_);
    for (std::int64_t r = 0; r < count; ++r) {
      query_rows_.set_row(r, query(first + r), p_.shape.scale);
    }
    query_rows_.finish(count);
    for (std::int64_t key = keys.begin; key < keys.end; key += kDepthBlock) {
      multiply_keys(kernels_, {&query_rows_, count, &keys_, key,
                               std::min(kDepthBlock, keys.end - key), chunk(key)});
    }
    for (std::int64_t r = 0; r < count; ++r) write(r, seen(first + r), keys, map_row(first + r));
  }

  /// Row r's scores of `keys` as probabilities of those that it sees; 0 elsewhere.
  void write(std::int64_t r, const Range& seen, const Range& keys, float* out) const {
    const SoftmaxRow row = softmax_row(kernels_, chunk(keys.begin) + r * kTileStride,
                                       kPatternQueries * kTileStride, seen, keys);
    std::fill_n(out, keys.begin, 0.0f);
    for (std::int64_t key = keys.begin; key < keys.end; key += kDepthBlock) {
      const std::int64_t size = std::min(kDepthBlock, keys.end - key);
      kernels_.combine(1.0f / row.sum, chunk(key) + r * kTileStride, 0.0f, out + key, size);
    }
    std::fill(out + keys.end, out + at_.context(), 0.0f);
  }

  const KernelTable& kernels_;
  const AttentionPattern& p_;
  AttentionItem at_;
  std::int64_t dim_;
  std::int64_t first_ = 0;    // of the chosen heads, the first of this group
  std::int64_t members_ = 0;  // chosen heads of this group
  HeadPanels keys_;
  HeadRows query_rows_;
  float* scores_ = nullptr;
};

}  // namespace

void attention_pattern_fast(const Context& context, const AttentionPattern& p) {
  const KernelTable& kernels = kernel_table(context);
  const std::int64_t items = p.layout.rows * p.shape.kv_heads;
  context.threads->parallel_for(items, 1, [&](std::int64_t begin, std::int64_t end) {
    const Multiplying multiplying(kernels.attention, 16);
    for (std::int64_t item = begin; item < end; ++item) PatternItem(kernels, p, item).run();
  });
}

}  // namespace headspark
