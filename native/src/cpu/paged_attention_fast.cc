// Attention over pages: an item is a key/value head of a row with a block of its queries, so that
// the query heads of a group share each key read. The context is cut into splits of 256 positions
// (flash-decoding, Dao et al. 2023); each leaves its maximum, sum and output, added in order. With
// few items the splits of a long context go to different threads: the same sums, so the same bits.
// Decoding reads keys and values from DRAM: an item stores its row's new ones itself, and asks for
// the pages of the thread's next item while it works, but for those that both share; a prompt of
// the items after these is asked for over several.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/kernel_table.h"
#include "cpu/kernels/fetch.h"
#include "cpu/range.h"
#include "cpu/scratch.h"
#include "ops/head_gate_apply.h"
#include "ops/store_token.h"

namespace headspark {
namespace {

constexpr std::int64_t kSplit = 256;  // 64 KB of fp32 keys at head_dim 64: they stay in L2
constexpr std::int64_t kSplitPages = kSplit / kKvPageTokens;
// Pages that are asked for ahead; in longer contexts the processor's prefetcher has caught up.
constexpr std::int64_t kFetchedPages = 8;
// Items that a thread takes at once, so that rows of the same pages meet in one core's L2; with
// at least so many turns for every thread.
constexpr std::int64_t kMostItems = 4;
constexpr std::int64_t kTurns = 8;
constexpr std::int64_t kBlockTokens = 8;  // queries of a prefill block read the keys from L2

// One key/value head of a row and up to kBlockTokens of its own tokens.
struct QueryBlock {
  std::int64_t row = 0;
  std::int64_t kv_head = 0;
  std::int64_t first = 0;  // own token
  std::int64_t tokens = 0;
  Range splits = {};         // that any of its tokens sees
  std::int64_t partial = 0;  // of its first partial result, when items share a block
};

// What every block needs.
class PagedPass {
  // What a thread asks for while it works: pages of its next block, and pages that all of the
  // blocks that it takes next read, over all of those that it works on now.
  struct Ahead {
    PageFetch next;
    PageFetch later;
    std::int64_t share = 0;  // lines of later for the block at work
  };

 public:
  PagedPass(const Context& context, const PagedAttention& p)
      : context_(context),
        kernels_(kernel_table(context)),
        p_(p),
        layout_{p.shape.kv_heads, p.shape.head_dim},
        group_(p.shape.heads / p.shape.kv_heads) {
    // Heads outermost, and rows that begin with the same page side by side: they find it in L2.
    const std::vector<std::int64_t> rows = rows_by_page();
    for (std::int64_t kv_head = 0; kv_head < p.shape.kv_heads; ++kv_head) {
      for (const std::int64_t row : rows) add_row(row, kv_head);
    }
  }

  void run() {
    const auto count = static_cast<std::int64_t>(blocks_.size());
    const bool split = count < 4 * context_.threads->threads() && longest_ > 1;
    const bool stores = !split && p_.k != nullptr && each_row_is_one_block();
    if (p_.k != nullptr && !stores) paged_store_cpu(context_, {p_.shape, p_.rows, p_.k, p_.v});
    if (split) return run_split();
    if (count == 0) return;
    // Every thread takes its next blocks before it works on some.
    const std::int64_t threads = std::min<std::int64_t>(context_.threads->threads(), count);
    const std::int64_t taken = std::clamp<std::int64_t>(count / (threads * kTurns), 1, kMostItems);
    std::atomic<std::int64_t> untaken{0};
    context_.threads->parallel_for(threads, 1, [&](auto, auto) {
      for (std::int64_t at = untaken.fetch_add(taken); at < count;) {
        const std::int64_t then = untaken.fetch_add(taken);
        const std::int64_t end = std::min(at + taken, count);
        Ahead ahead;
        if (then < count) ahead.later = pages_of_group(then, end - 1);
        for (; at < end; ++at) {
          ahead.share = ceil_divide(page_lines(ahead.later), end - at);
          run_block(at, at + 1 < end ? at + 1 : then, stores, ahead);
        }
        at = then;
      }
    });
  }

 private:
  // No row looks at another, so their order changes no bits.
  std::vector<std::int64_t> rows_by_page() const {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(p_.rows.layout.rows));
    std::iota(rows.begin(), rows.end(), 0);
    const auto first_page = [&](std::int64_t row) -> const float* {
      const std::int32_t begin = p_.rows.page_begin[row];
      return begin < p_.rows.page_begin[row + 1] ? p_.rows.pages[begin] : nullptr;
    };
    std::stable_sort(rows.begin(), rows.end(), [&](std::int64_t a, std::int64_t b) {
      return std::less<>()(first_page(a), first_page(b));
    });
    return rows;
  }

  void add_row(std::int64_t row, std::int64_t kv_head) {
    const std::int64_t own = p_.rows.layout.row_begin[row + 1] - p_.rows.layout.row_begin[row];
    std::int64_t first = p_.rows.layout.query_begin(static_cast<std::int32_t>(row));
    for (; first < own; first += kBlockTokens) {
      QueryBlock block{row, kv_head, first, std::min(kBlockTokens, own - first), {}, partials_};
      block.splits = {seen(block, 0).begin / kSplit,
                      ceil_divide(seen(block, queries(block) - 1).end, kSplit)};
      longest_ = std::max(longest_, block.splits.count());
      partials_ += block.splits.count() * partial_size(block);
      blocks_.push_back(block);
    }
  }

  // All own tokens of every row, so that the block may store them.
  bool each_row_is_one_block() const {
    for (std::int64_t row = 0; row < p_.rows.layout.rows; ++row) {
      const std::int64_t own = p_.rows.layout.row_begin[row + 1] - p_.rows.layout.row_begin[row];
      const std::int64_t first = p_.rows.layout.query_begin(static_cast<std::int32_t>(row));
      if (own > 0 && (first != 0 || own > kBlockTokens)) return false;
    }
    return true;
  }

  // `then`: the block that this thread works on next.
  void run_block(std::int64_t at, std::int64_t then, bool stores, Ahead& ahead) const {
    const QueryBlock& block = blocks_[static_cast<std::size_t>(at)];
    ahead.next = {};
    if (then < static_cast<std::int64_t>(blocks_.size())) {
      const QueryBlock& next = blocks_[static_cast<std::size_t>(then)];
      const std::int64_t asked = then == at + 1 ? 0 : common_with_next(then);
      ahead.next = pages_of(next, std::max(asked, common_pages(next, block)));
    }
    if (stores) store(block);
    float* partials =
        scratch(ScratchSlot::paged_partials, partial_size(block) * block.splits.count());
    for (std::int64_t s = block.splits.begin; s < block.splits.end; ++s) {
      run_part(block, s, partials + partial_at(block, s), ahead);
    }
    finish(block, partials);
  }

  void store(const QueryBlock& block) const {
    const std::int64_t dim = p_.shape.head_dim;
    const std::int64_t begin = p_.rows.layout.row_begin[block.row];
    for (std::int64_t i = 0; i < block.tokens; ++i) {
      const std::int64_t from = ((begin + i) * p_.shape.kv_heads + block.kv_head) * dim;
      const std::int64_t at = position(block, i);
      store_token(layout_, at % kKvPageTokens, p_.k + from, p_.v + from, head_page(block, at));
    }
  }

  float* const* pages_of_row(const QueryBlock& block) const {
    return p_.rows.pages + p_.rows.page_begin[block.row];
  }
  // The head's part of the page of a position.
  float* head_page(const QueryBlock& block, std::int64_t position) const {
    return pages_of_row(block)[position / kKvPageTokens] + block.kv_head * layout_.head_stride();
  }

  std::int64_t first_page(const QueryBlock& block) const {
    return seen(block, 0).begin / kKvPageTokens;
  }
  std::int64_t page_count(const QueryBlock& block) const {
    return position(block, block.tokens - 1) / kKvPageTokens + 1;
  }
  // Pages that two blocks begin with, of one head.
  std::int64_t common_pages(const QueryBlock& a, const QueryBlock& b) const {
    if (a.kv_head != b.kv_head) return 0;
    float* const* pages = pages_of_row(a);
    float* const* others = pages_of_row(b);
    const std::int64_t most = std::min(page_count(a), page_count(b));
    std::int64_t common = 0;
    while (common < most && pages[common] == others[common]) ++common;
    return common;
  }
  std::int64_t common_with_next(std::int64_t at) const {
    const auto index = static_cast<std::size_t>(at);
    return index + 1 < blocks_.size() ? common_pages(blocks_[index], blocks_[index + 1]) : 0;
  }

  // What the blocks from `then` on share and the one at `before` does not read.
  PageFetch pages_of_group(std::int64_t then, std::int64_t before) const {
    const QueryBlock& block = blocks_[static_cast<std::size_t>(then)];
    const std::int64_t known = common_pages(block, blocks_[static_cast<std::size_t>(before)]);
    PageFetch fetch = pages_of(block, known);
    const std::int64_t begin = std::max(known, first_page(block));
    const std::int64_t common = std::max<std::int64_t>(0, common_with_next(then) - begin);
    if (common < fetch.count) {
      fetch.count = common;
      fetch.last_bytes = fetch.bytes;  // all of them are full
    }
    return fetch;
  }

  // The pages that a block reads, past its first `known`.
  PageFetch pages_of(const QueryBlock& block, std::int64_t known) const {
    const std::int64_t total = page_count(block);
    const std::int64_t shared = std::max(known, first_page(block));
    PageFetch fetch;
    fetch.pages = pages_of_row(block) + shared;
    fetch.count = std::min(total - shared, kFetchedPages);
    fetch.offset = block.kv_head * layout_.head_stride();
    fetch.bytes = fetch.last_bytes = 4 * layout_.head_stride();
    if (fetch.count == total - shared) {
      const std::int64_t values = position(block, block.tokens - 1) % kKvPageTokens + 1;
      fetch.last_bytes = 4 * (layout_.value_offset() + values * layout_.padded_dim());
    }
    return fetch;
  }

  std::int64_t position(const QueryBlock& block, std::int64_t token) const {
    return p_.rows.layout.prefix(static_cast<std::int32_t>(block.row)) + block.first + token;
  }
  std::int64_t queries(const QueryBlock& block) const { return block.tokens * group_; }
  // Positions that flattened query f sees.
  Range seen(const QueryBlock& block, std::int64_t f) const {
    const std::int64_t at = position(block, f / group_);
    return {p_.shape.first_key(at), at + 1};
  }
  // Where the partial result of a split begins among those of the block.
  std::int64_t partial_at(const QueryBlock& block, std::int64_t split) const {
    return (split - block.splits.begin) * partial_size(block);
  }
  // Per query: output [padded_dim], then the maxima and sums of all queries.
  std::int64_t partial_size(const QueryBlock& block) const {
    return queries(block) * (layout_.padded_dim() + 2);
  }
  // Flattened query f = token * group + member: its offset in [tokens, heads, head_dim].
  std::int64_t offset(const QueryBlock& block, std::int64_t f) const {
    const std::int64_t token = p_.rows.layout.row_begin[block.row] + block.first + f / group_;
    const std::int64_t head = block.kv_head * group_ + f % group_;
    return (token * p_.shape.heads + head) * p_.shape.head_dim;
  }

  // Every split of every block is an item; a second loop adds them.
  void run_split() {
    struct Part {
      const QueryBlock* block;
      std::int64_t split;
    };
    std::vector<Part> parts;
    for (const QueryBlock& block : blocks_) {
      for (std::int64_t s = block.splits.begin; s < block.splits.end; ++s) {
        parts.push_back({&block, s});
      }
    }
    std::vector<float> partials(static_cast<std::size_t>(partials_));
    const auto count = static_cast<std::int64_t>(parts.size());
    context_.threads->parallel_for(count, 1, [&](auto begin, auto end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const Part& part = parts[static_cast<std::size_t>(i)];
        Ahead nothing;
        run_part(*part.block, part.split,
                 partials.data() + part.block->partial + partial_at(*part.block, part.split),
                 nothing);
      }
    });
    for (const QueryBlock& block : blocks_) finish(block, partials.data() + block.partial);
  }

  void run_part(const QueryBlock& block, std::int64_t split, float* partial, Ahead& ahead) const {
    const std::int64_t rows = queries(block);
    const std::int64_t dim = p_.shape.head_dim;
    float* q = scratch(ScratchSlot::paged_queries, rows * dim);
    for (std::int64_t f = 0; f < rows; ++f) {
      kernels_.combine(p_.shape.scale, p_.q + offset(block, f), 0.0f, q + f * dim, dim);
    }
    // Keys that are read, from the first page on that any query sees: each its own, the last most.
    const std::int64_t begin =
        std::max(split * kSplit, round_down(seen(block, 0).begin, kKvPageTokens));
    const std::int64_t size = (split + 1) * kSplit - begin;
    std::vector<std::int64_t>& counts = counts_of_thread();
    counts.resize(static_cast<std::size_t>(rows));
    for (std::int64_t f = 0; f < rows; ++f) {
      counts[static_cast<std::size_t>(f)] = in_chunk(seen(block, f), begin, size).end;
    }
    const std::int64_t keys = counts.back();
    const float* const* pages = pages_of_row(block) + begin / kKvPageTokens;
    const std::int64_t head = block.kv_head * layout_.head_stride();
    float* scores = scratch(ScratchSlot::paged_scores, rows * kSplit);
    PagedScores products{q,    rows,   dim,   pages, ceil_divide(keys, kKvPageTokens),
                         head, scores, kSplit};
    // What is left to ask for, over the splits that are left.
    const std::int64_t lines = ceil_divide(page_lines(ahead.next), block.splits.end - split);
    const std::int64_t depths = products.page_count * ceil_divide(dim, kFetchSteps);
    products.next = lines > 0 ? &ahead.next : nullptr;
    products.lines = ceil_divide(lines, depths);
    kernels_.paged_scores(products);
    float* largest = partial + rows * layout_.padded_dim();
    for (std::int64_t f = 0; f < rows; ++f) {
      const Range own = in_chunk(seen(block, f), begin, size);
      std::fill_n(scores + f * kSplit, own.begin, 0.0f);
      if (own.count() == 0) continue;  // finish() does not look at it
      float* const first = scores + f * kSplit + own.begin;
      largest[f] = kernels_.largest(first, own.count());
      largest[rows + f] = kernels_.exp_in_place(first, own.count(), own.count(), largest[f]);
    }
    PagedValues values{scores,
                       kSplit,
                       rows,
                       counts.data(),
                       pages,
                       head + layout_.value_offset(),
                       layout_.padded_dim(),
                       partial};
    values.next = ahead.later.count > 0 ? &ahead.later : nullptr;
    values.lines = ceil_divide(ahead.share, block.splits.count() * ceil_divide(keys, kFetchSteps));
    kernels_.paged_values(values);
  }

  // The splits of each query, in order: out = sum of e^(m_s - m) out_s over that of the sums.
  void finish(const QueryBlock& block, float* partials) const {
    const std::int64_t rows = queries(block);
    const std::int64_t padded = layout_.padded_dim();
    const std::int64_t stride = partial_size(block);
    for (std::int64_t f = 0; f < rows; ++f) {
      const Range own = seen(block, f);
      const std::int64_t splits = ceil_divide(own.end, kSplit) - own.begin / kSplit;
      float* const first = partials + partial_at(block, own.begin / kSplit);
      float* maxima = first + rows * padded + f;
      float* out = first + f * padded;
      float sum = maxima[rows];
      if (splits > 1) {
        float largest = maxima[0];
        for (std::int64_t s = 1; s < splits; ++s) {
          const float m = maxima[s * stride];
          if (!(m <= largest)) largest = m;  // NaN wins and stays visible
        }
        sum = 0.0f;
        for (std::int64_t s = 0; s < splits; ++s) {
          const float weight = std::exp(maxima[s * stride] - largest);
          sum += weight * maxima[s * stride + rows];
          kernels_.combine(weight, out + s * stride, s == 0 ? 0.0f : 1.0f, out, padded);
        }
      }
      write(block, f, out, sum);
    }
  }

  // z = s raw + (1 - s) r of one query.
  void write(const QueryBlock& block, std::int64_t f, float* raw, float sum) const {
    const std::int64_t dim = p_.shape.head_dim;
    const GatedToken token{block.row, block.first + f / group_, position(block, f / group_)};
    const std::int64_t head = block.kv_head * group_ + f % group_;
    const float scale = gate_scale(p_.gate, token, head, p_.shape.heads);
    const float* r = gate_replacement(p_.gate, token, head, p_.shape.heads, dim);
    float* z = p_.z + offset(block, f);
    kernels_.combine(1.0f / sum, raw, 0.0f, raw, dim);
    if (scale == 1.0f) {
      std::copy_n(raw, dim, z);
    } else if (scale != 0.0f) {
      kernels_.blend({scale, raw, r, z, dim});
    } else if (r != nullptr) {
      std::copy_n(r, dim, z);
    } else {
      std::fill_n(z, dim, 0.0f);
    }
  }

  static std::vector<std::int64_t>& counts_of_thread() {
    static thread_local std::vector<std::int64_t> counts;
    return counts;
  }

  const Context& context_;
  const KernelTable& kernels_;
  const PagedAttention& p_;
  KvPageLayout layout_;
  std::int64_t group_;
  std::vector<QueryBlock> blocks_;
  std::int64_t longest_ = 0;
  std::int64_t partials_ = 0;
};

}  // namespace

void paged_attention_fast(const Context& context, const PagedAttention& p) {
  PagedPass(context, p).run();
}

}  // namespace headspark
