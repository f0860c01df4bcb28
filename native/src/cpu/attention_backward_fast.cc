// Attention backward in blocks of 48 queries times chunks of 256 keys, twice over the chunks:
// scores and their sums first, gradients from them after, so that the workspace does not grow with
// the square of the length. Formulas: attention_cpu.cc.
#include "cpu/attention_head.h"
#include "cpu/fast_ops.h"
#include "ops/head_gate_apply.h"

namespace headspark {
namespace {

constexpr std::int64_t kQueryBlock = 48;  // whole tiles of 6 and of 12 rows

// Asks for one head of a token ahead of its turn: the heads of a token lie far apart, which the
// processor's own prefetching does not follow.
void fetch_head(const float* x, std::int64_t head_dim) {
  for (std::int64_t d = 0; d < head_dim; d += 16) __builtin_prefetch(x + d, 0, 3);
}
void fetch_head_to_write(const float* x, std::int64_t head_dim) {
  for (std::int64_t d = 0; d < head_dim; d += 16) __builtin_prefetch(x + d, 1, 3);
}
// Tokens between asking and use.
constexpr std::int64_t kFetchAhead = 4;

class BackwardItem {
 public:
  BackwardItem(const KernelTable& kernels, const AttentionBackward& p, std::int64_t item)
      : kernels_(kernels), p_(p), at_(p.shape, p.layout, item), dim_(p.shape.head_dim) {}

  void run() {
    if (at_.own == 0) return;
    // Blocks begin where they would if all tokens were queries: the same sums.
    first_block_ = round_down(at_.first, kQueryBlock);
    context_ = at_.chunks(first_block_, at_.own - 1);
    const ContextRows k = at_.rows(p_.k, p_.prefix_k, context_);
    keys_ = key_panels(kernels_, k, dim_, ScratchSlot::key_panels, ScratchSlot::key_terms);
    values_ = key_panels(kernels_, at_.rows(p_.v, p_.prefix_v, context_), dim_,
                         ScratchSlot::value_panels, ScratchSlot::value_terms);
    key_columns_ =
        column_panels(kernels_, k, dim_, ScratchSlot::key_columns, ScratchSlot::key_column_terms);
    allocate();
    for (std::int64_t member = 0; member < at_.group; ++member) head(member);
  }

 private:
  void allocate() {
    query_rows_ =
        HeadRows(kernels_, kQueryBlock, dim_, ScratchSlot::query_rows, ScratchSlot::query_packed);
    grad_rows_ =
        HeadRows(kernels_, kQueryBlock, dim_, ScratchSlot::grad_rows, ScratchSlot::grad_packed);
    const std::int64_t chunks = chunk_offset(round_up(context_.end, kDepthBlock));
    scores_ = scratch(ScratchSlot::scores, chunks);
    d_scores_ = scratch(ScratchSlot::d_scores, chunks);
    scores_transposed_ = scratch(ScratchSlot::scores_transposed, kDepthBlock * kTileStride);
    d_scores_transposed_ = scratch(ScratchSlot::d_scores_transposed, kDepthBlock * kTileStride);
    d_query_ = scratch(ScratchSlot::output, kQueryBlock * at_.padded_dim());
    d_key_ = scratch(ScratchSlot::d_key, at_.own * at_.padded_dim());
    d_value_ = scratch(ScratchSlot::d_value, at_.own * at_.padded_dim());
  }

  // One query head: all gradients that come through it.
  void head(std::int64_t member) {
    std::fill_n(d_key_, at_.own * at_.padded_dim(), 0.0f);
    std::fill_n(d_value_, at_.own * at_.padded_dim(), 0.0f);
    for (std::int64_t i = 0; i < first_block_; ++i) {
      std::fill_n(p_.d_q + at_.query(i * at_.group + member), dim_, 0.0f);
    }
    for (std::int64_t i = first_block_; i < at_.own; i += kQueryBlock) {
      block(member, i, std::min(kQueryBlock, at_.own - i));
    }
    for (std::int64_t i = 0; i < at_.own; ++i) {
      const std::int64_t target = at_.query(i * at_.group + member);
      const std::int64_t next = target + kFetchAhead * at_.token_stride();
      fetch_head_to_write(p_.d_k + next, dim_);
      fetch_head_to_write(p_.d_v + next, dim_);
      std::copy_n(d_key_ + i * at_.padded_dim(), dim_, p_.d_k + target);
      std::copy_n(d_value_ + i * at_.padded_dim(), dim_, p_.d_v + target);
    }
  }

  // d_raw = s d_z, its product with raw, and the operands made of q and d_raw.
  void load_block(std::int64_t member, std::int64_t first, std::int64_t count) {
    query_columns_ = HeadPanels(kernels_.attention, dim_, count, ScratchSlot::query_columns);
    grad_columns_ = HeadPanels(kernels_.attention, dim_, count, ScratchSlot::grad_columns);
    float* d_raw = scratch(ScratchSlot::d_output, dim_);
    for (std::int64_t r = 0; r < count; ++r) {
      const std::int64_t f = (first + r) * at_.group + member;
      const std::int64_t offset = at_.query(f);
      const std::int64_t next = offset + kFetchAhead * at_.token_stride();
      for (const float* x : {p_.d_z, p_.q, p_.raw}) fetch_head(x + next, dim_);
      fetch_head_to_write(p_.d_q + next, dim_);
      const GatedToken token{at_.row, first + r, at_.prefix + first + r};
      const float s = gate_scale(p_.gate, token, at_.head(f), p_.shape.heads);
      kernels_.combine(s, p_.d_z + offset, 0.0f, d_raw, dim_);
      // A token that is no query has d_raw = 0 and nothing of the forward.
      const bool is_query = first + r >= at_.first;
      const float* q = is_query ? p_.q + offset : d_raw;
      rowsum_[r] = is_query ? kernels_.dot(d_raw, p_.raw + offset, dim_) : 0.0f;
      lse_[r] = is_query ? p_.lse[at_.query_scalar(f)] : 0.0f;
      query_rows_.set_row(r, q, p_.shape.scale);
      query_columns_.set_row(r, q, dim_, p_.shape.scale);
      grad_rows_.set_row(r, d_raw, 1.0f);
      grad_columns_.set_row(r, d_raw, dim_, 1.0f);
    }
    query_rows_.finish(count);
    grad_rows_.finish(count);
    query_columns_.split(ScratchSlot::query_column_terms);
    grad_columns_.split(ScratchSlot::grad_column_terms);
  }

  void block(std::int64_t member, std::int64_t first, std::int64_t count) {
    load_block(member, first, count);
    std::fill_n(d_query_, count * at_.padded_dim(), 0.0f);
    std::fill_n(sum_, count, 0.0f);
    std::fill_n(d_sum_, count, 0.0f);
    const Range keys = at_.chunks(first, first + count - 1);
    for (std::int64_t key = keys.begin; key < keys.end; key += kDepthBlock) {
      score_chunk(first, count, key, std::min(kDepthBlock, keys.end - key));
    }
    for (std::int64_t key = keys.begin; key < keys.end; key += kDepthBlock) {
      gradient_chunk(first, count, key, std::min(kDepthBlock, keys.end - key));
    }
    for (std::int64_t r = 0; r < count; ++r) {
      // forward: score = scale q·k
      kernels_.combine(p_.shape.scale, d_query_ + r * at_.padded_dim(), 0.0f,
                       p_.d_q + at_.query((first + r) * at_.group + member), dim_);
    }
  }

  // Where the chunk that begins at `key` is kept until its gradients are taken.
  std::int64_t chunk_offset(std::int64_t key) const {
    return (key - context_.begin) / kDepthBlock * kQueryBlock * kTileStride;
  }

  void score_chunk(std::int64_t first, std::int64_t count, std::int64_t key, std::int64_t keys) {
    float* const scores = scores_ + chunk_offset(key);
    float* const d_scores = d_scores_ + chunk_offset(key);
    const std::int64_t panel_row = key - context_.begin;
    multiply_keys(kernels_, {&query_rows_, count, &keys_, panel_row, keys, scores});
    multiply_keys(kernels_, {&grad_rows_, count, &values_, panel_row, keys, d_scores});
    for (std::int64_t r = 0; r < count; ++r) {
      const Range own = in_chunk(at_.seen(first + r), key, keys);
      float* const row = scores + r * kTileStride;
      float* const d_row = d_scores + r * kTileStride;
      std::fill_n(row, own.begin, 0.0f);
      std::fill_n(d_row, own.begin, 0.0f);
      kernels_.attention_scores({row + own.begin, d_row + own.begin, own.count(), keys - own.begin,
                                 lse_[r], rowsum_[r], sum_ + r, d_sum_ + r});
    }
  }

  void gradient_chunk(std::int64_t first, std::int64_t count, std::int64_t key, std::int64_t keys) {
    float* const scores = scores_ + chunk_offset(key);
    float* const d_scores = d_scores_ + chunk_offset(key);
    for (std::int64_t r = 0; r < count; ++r) {
      const Range own = in_chunk(at_.seen(first + r), key, keys);
      const std::int64_t begin = r * kTileStride + own.begin;
      kernels_.attention_gradients(
          {scores + begin, d_scores + begin, own.count(), sum_[r], d_sum_[r]});
    }
    multiply_columns(kernels_,
                     {d_scores, count, keys, &key_columns_, key - context_.begin, d_query_});
    own_keys(count, key, keys);
  }

  // to[j, r] = from[r, j] for r < rows, j < columns; both of stride kTileStride.
  void transpose(const float* from, std::int64_t rows, std::int64_t columns, float* to) const {
    for (std::int64_t first = 0; first < rows; first += kPanelWidth) {
      const float* sources[kPanelWidth] = {};
      const std::int64_t width = std::min(kPanelWidth, rows - first);
      for (std::int64_t r = 0; r < width; ++r) sources[r] = from + (first + r) * kTileStride;
      kernels_.pack_rows({sources, columns, to + first, kTileStride});
    }
  }

  // d_k and d_v of the chunk's own tokens: products over the block's queries.
  void own_keys(std::int64_t count, std::int64_t key, std::int64_t keys) {
    const std::int64_t skip = std::max<std::int64_t>(at_.prefix - key, 0);
    if (skip >= keys) return;
    const std::int64_t own = keys - skip;
    transpose(scores_ + chunk_offset(key) + skip, count, own, scores_transposed_);
    transpose(d_scores_ + chunk_offset(key) + skip, count, own, d_scores_transposed_);
    const std::int64_t target = (key + skip - at_.prefix) * at_.padded_dim();
    // forward: raw = p V, score = scale q·k (the scale is in the columns of q)
    multiply_columns(kernels_,
                     {scores_transposed_, own, count, &grad_columns_, 0, d_value_ + target});
    multiply_columns(kernels_,
                     {d_scores_transposed_, own, count, &query_columns_, 0, d_key_ + target});
  }

  const KernelTable& kernels_;
  const AttentionBackward& p_;
  AttentionItem at_;
  std::int64_t dim_;
  std::int64_t first_block_ = 0;  // own token
  Range context_ = {};            // positions that are in panels
  HeadPanels keys_;
  HeadPanels values_;
  HeadPanels key_columns_;
  HeadRows query_rows_;
  HeadRows grad_rows_;
  HeadPanels query_columns_;
  HeadPanels grad_columns_;
  float* scores_ = nullptr;
  float* d_scores_ = nullptr;
  float* scores_transposed_ = nullptr;
  float* d_scores_transposed_ = nullptr;
  float* d_query_ = nullptr;
  float* d_key_ = nullptr;
  float* d_value_ = nullptr;
  float rowsum_[kQueryBlock] = {};
  float lse_[kQueryBlock] = {};
  float sum_[kQueryBlock] = {};    // of p, over the chunks so far
  float d_sum_[kQueryBlock] = {};  // of p (d_p - rowsum)
};

}  // namespace

void attention_backward_fast(const Context& context, const AttentionBackward& p) {
  const KernelTable& kernels = kernel_table(context);
  const std::int64_t items = p.layout.rows * p.shape.kv_heads;
  context.threads->parallel_for(items, 1, [&](std::int64_t begin, std::int64_t end) {
    const Multiplying multiplying(kernels.attention, 16);
    for (std::int64_t item = begin; item < end; ++item) BackwardItem(kernels, p, item).run();
  });
}

}  // namespace headspark
