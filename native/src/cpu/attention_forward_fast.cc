// Attention forward: per block of queries, scores against the keys they see in chunks of 256,
// softmax in place, then the product with the values. Nothing of size [tokens, tokens] is kept.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <ranges>

#include "cpu/attention_head.h"
#include "cpu/fast_ops.h"
#include "ops/head_gate_apply.h"

namespace headspark {
namespace {

constexpr std::int64_t kMostQueries = 32;

// Queries of a block: whole tiles of 6 and of 12 rows, or two tile registers.
std::int64_t query_block(const GemmKernels& kernels) {
  return kernels.row_tile == 32 ? kMostQueries : 24;
}

// Parts of the queries of every (row, kv head), so that all threads get as much: few heads of one
// long row are not a multiple of the threads. Each part packs the keys it sees for itself.
std::int64_t parts_of(std::int64_t items, std::int64_t threads) {
  constexpr std::int64_t many = 4;  // items per thread that even out by themselves
  return items == 0 || items >= many * threads ? 1 : threads / std::gcd(items, threads);
}

class ForwardItem {
 public:
  ForwardItem(const KernelTable& kernels, const AttentionForward& p, std::int64_t item)
      : kernels_(kernels),
        p_(p),
        at_(p.shape, p.layout, item),
        dim_(p.shape.head_dim),
        query_block_(query_block(kernels.attention)) {}

  void run(std::int64_t part, std::int64_t parts) {
    const std::int64_t first = begin_of(part, parts);
    const std::int64_t queries = begin_of(part + 1, parts);
    if (first == queries) return;
    context_ = chunks_of(first, queries - first);
    keys_ = key_panels(kernels_, at_.rows(p_.k, p_.prefix_k, context_), dim_,
                       ScratchSlot::key_panels, ScratchSlot::key_terms);
    values_ = column_panels(kernels_, at_.rows(p_.v, p_.prefix_v, context_), dim_,
                            ScratchSlot::value_panels, ScratchSlot::value_terms);
    query_rows_ =
        HeadRows(kernels_, query_block_, dim_, ScratchSlot::query_rows, ScratchSlot::query_packed);
    scores_ = scratch(ScratchSlot::scores,
                      ceil_divide(context_.count(), kDepthBlock) * query_block_ * kTileStride);
    output_ = scratch(ScratchSlot::output, query_block_ * at_.padded_dim());
    for (std::int64_t f = first; f < queries; f += query_block_) {
      block(f, std::min(query_block_, queries - f));
    }
  }

 private:
  // Flattened query where a part begins: whole blocks, and as many keys seen in each part.
  std::int64_t begin_of(std::int64_t part, std::int64_t parts) const {
    const std::int64_t first = at_.first * at_.group;
    const std::int64_t queries = at_.own * at_.group;
    if (part == 0) return first;
    if (part == parts) return queries;
    const std::int64_t wanted = seen_by(at_.own - at_.first) / parts * part;
    const auto all = std::views::iota(std::int64_t{0}, at_.own - at_.first);
    const auto some = std::ranges::partition_point(
        all, [&](std::int64_t token) { return seen_by(token + 1) <= wanted; });
    const std::int64_t tokens = some - all.begin();
    const std::int64_t blocks = (2 * tokens * at_.group + query_block_) / (2 * query_block_);
    return std::min(first + blocks * query_block_, queries);
  }
  // Keys that the first `tokens` queries see: one more each, until their window is full.
  std::int64_t seen_by(std::int64_t tokens) const {
    const std::int64_t before = at_.prefix + at_.first;
    const std::int64_t window = p_.shape.window > 0 ? p_.shape.window : before + tokens;
    const std::int64_t growing = std::clamp<std::int64_t>(window - before, 0, tokens);
    return growing * before + growing * (growing + 1) / 2 + (tokens - growing) * window;
  }
  // Positions that flattened query f sees.
  Range seen(std::int64_t f) const { return at_.seen(f / at_.group); }
  // Those of some queries, in whole chunks.
  Range chunks_of(std::int64_t first, std::int64_t count) const {
    return at_.chunks(first / at_.group, (first + count - 1) / at_.group);
  }
  float* chunk(std::int64_t key) const {
    return scores_ + (key - context_.begin) / kDepthBlock * query_block_ * kTileStride;
  }

  void block(std::int64_t first, std::int64_t count) {
    const Range keys = chunks_of(first, count);
    for (std::int64_t r = 0; r < count; ++r) {
      query_rows_.set_row(r, p_.q + at_.query(first + r), p_.shape.scale);
    }
    query_rows_.finish(count);
    for (std::int64_t key = keys.begin; key < keys.end; key += kDepthBlock) {
      multiply_keys(kernels_, {&query_rows_, count, &keys_, key - context_.begin,
                               std::min(kDepthBlock, keys.end - key), chunk(key)});
    }
    SoftmaxRow rows[kMostQueries];
    for (std::int64_t r = 0; r < count; ++r) {
      rows[r] = softmax_row(kernels_, chunk(keys.begin) + r * kTileStride,
                            query_block_ * kTileStride, seen(first + r), keys);
    }
    std::fill_n(output_, count * at_.padded_dim(), 0.0f);
    for (std::int64_t key = keys.begin; key < keys.end; key += kDepthBlock) {
      multiply_columns(kernels_, {chunk(key), count, std::min(kDepthBlock, keys.end - key),
                                  &values_, key - context_.begin, output_});
    }
    for (std::int64_t r = 0; r < count; ++r) {
      write(first + r, output_ + r * at_.padded_dim(), rows[r].sum);
      if (p_.lse != nullptr) {
        p_.lse[at_.query_scalar(first + r)] =
            static_cast<float>(rows[r].largest + std::log(static_cast<double>(rows[r].sum)));
      }
    }
  }

  // z = s raw + (1 - s) r of one query.
  void write(std::int64_t f, float* raw, float sum) const {
    float* z = p_.z + at_.query(f);
    const GatedToken token{at_.row, f / at_.group, at_.prefix + f / at_.group};
    const float scale = gate_scale(p_.gate, token, at_.head(f), p_.shape.heads);
    if (p_.raw == nullptr && scale == 1.0f) {
      return kernels_.combine(1.0f / sum, raw, 0.0f, z, dim_);
    }
    kernels_.combine(1.0f / sum, raw, 0.0f, raw, dim_);
    if (p_.raw != nullptr) std::copy_n(raw, dim_, p_.raw + at_.query(f));
    const float* r = gate_replacement(p_.gate, token, at_.head(f), p_.shape.heads, dim_);
    if (scale == 1.0f) {
      std::copy_n(raw, dim_, z);
    } else if (scale != 0.0f) {
      kernels_.blend({scale, raw, r, z, dim_});
    } else if (r != nullptr) {
      std::copy_n(r, dim_, z);
    } else {
      std::fill_n(z, dim_, 0.0f);
    }
  }

  const KernelTable& kernels_;
  const AttentionForward& p_;
  AttentionItem at_;
  std::int64_t dim_;
  std::int64_t query_block_;
  Range context_ = {};  // positions that are in panels
  HeadPanels keys_;
  HeadPanels values_;
  HeadRows query_rows_;
  float* scores_ = nullptr;
  float* output_ = nullptr;
};

}  // namespace

void attention_forward_fast(const Context& context, const AttentionForward& p) {
  const KernelTable& kernels = kernel_table(context);
  const std::int64_t items = p.layout.rows * p.shape.kv_heads;
  const std::int64_t parts = parts_of(items, context.threads->threads());
  context.threads->parallel_for(items * parts, 1, [&](std::int64_t begin, std::int64_t end) {
    const Multiplying multiplying(kernels.attention, 16);
    for (std::int64_t i = begin; i < end; ++i) {
      ForwardItem(kernels, p, i / parts).run(i % parts, parts);
    }
  });
}

}  // namespace headspark
