// Specification of attention over pages (arXiv 2309.06180, section 4.1): per query at position t,
// p = softmax(scale q Kᵀ) over positions 0 … t, or those that its window has of them, raw = p V,
// z = s raw + (1 - s) r. Sums in double.
#include <cmath>
#include <vector>

#include "ops/backends.h"
#include "ops/head_gate_apply.h"
#include "ops/store_token.h"

namespace headspark {
namespace {

// Where position p of a row lies in its pages.
struct PageView {
  KvPageLayout layout;
  float* const* pages;

  PageView(const AttentionShape& shape, const PagedRows& rows, std::int64_t row)
      : layout{shape.kv_heads, shape.head_dim, rows.type},
        pages(rows.pages + rows.page_begin[row]) {}
  float* head(std::int64_t position, std::int64_t kv_head) const {
    return element_in(pages[position / kKvPageTokens], kv_head * layout.head_stride(), layout.type);
  }
  float key(std::int64_t position, std::int64_t kv_head, std::int64_t d) const {
    return element(head(position, kv_head), d * kKvPageTokens + position % kKvPageTokens);
  }
  float value(std::int64_t position, std::int64_t kv_head, std::int64_t d) const {
    const std::int64_t slot = position % kKvPageTokens;
    return element(head(position, kv_head), layout.value_offset() + slot * layout.padded_dim() + d);
  }

 private:
  float element(const float* head, std::int64_t index) const {
    if (layout.type == DType::f32) return head[index];
    return bf16_to_f32(reinterpret_cast<const std::uint16_t*>(head)[index]);
  }
};

void attend(const PagedAttention& p, const GatedToken& at, std::int64_t head,
            std::vector<double>& weights) {
  const PageView view(p.shape, p.rows, at.row);
  const std::int64_t kv_head = head / (p.shape.heads / p.shape.kv_heads);
  const std::int64_t head_dim = p.shape.head_dim;
  const std::int64_t query =
      ((p.rows.layout.row_begin[at.row] + at.token) * p.shape.heads + head) * head_dim;
  const std::int64_t first = p.shape.first_key(at.position);
  weights.clear();
  double largest = -HUGE_VAL;
  for (std::int64_t j = first; j <= at.position; ++j) {
    double dot = 0.0;
    for (std::int64_t d = 0; d < head_dim; ++d) {
      dot += static_cast<double>(p.q[query + d]) * view.key(j, kv_head, d);
    }
    weights.push_back(p.shape.scale * dot);
    if (!(weights.back() <= largest)) largest = weights.back();
  }
  double sum = 0.0;
  for (double& weight : weights) sum += (weight = std::exp(weight - largest));
  const float scale = gate_scale(p.gate, at, head, p.shape.heads);
  const float* r =
      scale == 1.0f ? nullptr : gate_replacement(p.gate, at, head, p.shape.heads, head_dim);
  for (std::int64_t d = 0; d < head_dim; ++d) {
    double raw = 0.0;
    for (std::int64_t j = first; j <= at.position; ++j) {
      raw += weights[static_cast<std::size_t>(j - first)] / sum * view.value(j, kv_head, d);
    }
    p.z[query + d] = gated_value(scale, static_cast<float>(raw), r != nullptr ? r[d] : 0.0f);
  }
}

}  // namespace

void paged_store_cpu(const Context& context, const PagedStore& p) {
  const std::int64_t head_dim = p.shape.head_dim;
  context.threads->parallel_for(p.rows.layout.rows, 8, [&](auto first, auto last) {
    for (std::int64_t row = first; row < last; ++row) {
      const PageView view(p.shape, p.rows, row);
      const std::int64_t begin = p.rows.layout.row_begin[row];
      const std::int64_t own = p.rows.layout.row_begin[row + 1] - begin;
      const std::int64_t stored = p.rows.layout.prefix(static_cast<std::int32_t>(row));
      for (std::int64_t i = 0; i < own * p.shape.kv_heads; ++i) {
        const std::int64_t position = stored + i / p.shape.kv_heads;
        const std::int64_t kv_head = i % p.shape.kv_heads;
        const std::int64_t from = (begin * p.shape.kv_heads + i) * head_dim;
        store_token(view.layout, position % kKvPageTokens, p.k + from, p.v + from,
                    view.head(position, kv_head));
      }
    }
  });
}

void paged_attention_cpu(const Context& context, const PagedAttention& p) {
  const std::int64_t items = p.rows.layout.rows * p.shape.heads;
  context.threads->parallel_for(items, 1, [&](auto first, auto last) {
    std::vector<double> weights;
    for (std::int64_t item = first; item < last; ++item) {
      const std::int64_t row = item / p.shape.heads;
      const std::int64_t own = p.rows.layout.row_begin[row + 1] - p.rows.layout.row_begin[row];
      const std::int64_t stored = p.rows.layout.prefix(static_cast<std::int32_t>(row));
      std::int64_t i = p.rows.layout.query_begin(static_cast<std::int32_t>(row));
      for (; i < own; ++i) {
        attend(p, {row, i, stored + i}, item % p.shape.heads, weights);
      }
    }
  });
}

}  // namespace headspark
