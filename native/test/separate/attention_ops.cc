// Attention over stored prefixes and over pages: addresses translated, then the CPU's op.
#include <algorithm>
#include <cstring>
#include <vector>

#include "headspark/error.h"
#include "ops/backends.h"
#include "ops/paged_attention_memory.h"
#include "separate/translate.h"

namespace headspark {
namespace test {
namespace {

/// Tokens of the store that prefixes reach into.
std::int64_t store_tokens(const RowLayout& layout) {
  std::int64_t tokens = 0;
  if (layout.prefix_length == nullptr) return tokens;
  for (std::int32_t row = 0; row < layout.rows; ++row) {
    if (layout.prefix_length[row] == 0) continue;
    tokens = std::max<std::int64_t>(tokens, layout.prefix_begin[row] + layout.prefix_length[row]);
  }
  return tokens;
}

/// What forward and backward read alike.
template <typename Params>
void translate_inputs(Params& p) {
  const std::int64_t query = p.layout.token_count * p.shape.heads * p.shape.head_dim;
  const std::int64_t key = p.layout.token_count * p.shape.kv_heads * p.shape.head_dim;
  const std::int64_t stored = store_tokens(p.layout) * p.shape.kv_heads * p.shape.head_dim;
  p.q = bytes_of(p.q, query);
  p.k = bytes_of(p.k, key);
  p.v = bytes_of(p.v, key);
  p.prefix_k = bytes_of(p.prefix_k, stored);
  p.prefix_v = bytes_of(p.prefix_v, stored);
  p.gate = bytes_of(p.gate, p.layout, p.shape);
}

/// The rows with their page table, whose entries are device addresses too.
struct HostPages {
  PagedRows rows;
  std::vector<float*> pages;

  HostPages(const PagedRows& device, const AttentionShape& shape) : rows(device) {
    rows.layout = bytes_of(rows.layout);
    rows.page_begin = bytes_of(rows.page_begin, rows.layout.rows + 1);
    const std::int64_t count = rows.page_begin[rows.layout.rows];
    float* const* table = bytes_of(rows.pages, count);
    const std::int64_t floats = KvPageLayout{shape.kv_heads, shape.head_dim, device.type}.floats();
    for (std::int64_t i = 0; i < count; ++i) pages.push_back(bytes_of(table[i], floats));
    rows.pages = pages.data();
  }
};

/// Integers of an address.
constexpr std::int64_t kPlanSize = sizeof(float* const*) / sizeof(std::int32_t);

/// Throws where the plan is not of these rows in this layer.
void check_plan(const PagedAttention& p) {
  if (p.plan == nullptr) return;
  float* const* planned = nullptr;
  std::memcpy(&planned, bytes_of(p.plan, kPlanSize), sizeof planned);
  if (planned == p.rows.pages) return;
  throw Error(ErrorCode::INTERNAL, "paged_attention was given the plan of another layer.");
}

}  // namespace

HeadGate bytes_of(HeadGate gate, const RowLayout& layout, const AttentionShape& shape) {
  const std::int64_t width = shape.heads * shape.head_dim;
  gate.scale = bytes_of(gate.scale, layout.rows * shape.heads);
  gate.replacement_begin = bytes_of(gate.replacement_begin, layout.rows);
  gate.gate_begin = bytes_of(gate.gate_begin, layout.rows);
  gate.gate_end = bytes_of(gate.gate_end, layout.rows);
  std::int64_t slots = gate.kind == Replacement::position ? layout.longest_context : 1;
  if (gate.kind == Replacement::token && gate.replacement_begin != nullptr) {
    for (std::int32_t row = 0; row < layout.rows; ++row) {
      const std::int32_t own = layout.row_begin[row + 1] - layout.row_begin[row];
      slots = std::max<std::int64_t>(slots, gate.replacement_begin[row] + own);
    }
  }
  gate.replacement = bytes_of(gate.replacement, slots * width);
  return gate;
}

}  // namespace test

using test::bytes_of;
using test::on_host;

void attention_forward_cuda(const Context& context, const AttentionForward& params) {
  AttentionForward p = params;
  p.layout = bytes_of(p.layout);
  test::translate_inputs(p);
  const std::int64_t query = p.layout.token_count * p.shape.heads * p.shape.head_dim;
  p.z = bytes_of(p.z, query);
  p.raw = bytes_of(p.raw, query);
  p.lse = bytes_of(p.lse, p.layout.token_count * p.shape.heads);
  attention_forward(on_host(context), p);
}

void attention_backward_cuda(const Context& context, const AttentionBackward& params) {
  AttentionBackward p = params;
  p.layout = bytes_of(p.layout);
  test::translate_inputs(p);
  const std::int64_t query = p.layout.token_count * p.shape.heads * p.shape.head_dim;
  p.raw = bytes_of(p.raw, query);
  p.lse = bytes_of(p.lse, p.layout.token_count * p.shape.heads);
  p.d_z = bytes_of(p.d_z, query);
  p.d_q = bytes_of(p.d_q, query);
  p.d_k = bytes_of(p.d_k, query);
  p.d_v = bytes_of(p.d_v, query);
  attention_backward(on_host(context), p);
}

void sum_head_groups_cuda(const Context& context, const AttentionShape& shape, std::int64_t tokens,
                          const float* per_head, float* grouped) {
  sum_head_groups(on_host(context), shape, tokens,
                  bytes_of(per_head, tokens * shape.heads * shape.head_dim),
                  bytes_of(grouped, tokens * shape.kv_heads * shape.head_dim));
}

void attention_pattern_cuda(const Context& context, const AttentionPattern& params) {
  AttentionPattern p = params;
  p.layout = bytes_of(p.layout);
  p.q = bytes_of(p.q, p.layout.token_count * p.shape.heads * p.shape.head_dim);
  p.k = bytes_of(p.k, p.layout.token_count * p.shape.kv_heads * p.shape.head_dim);
  p.prefix_k =
      bytes_of(p.prefix_k, test::store_tokens(p.layout) * p.shape.kv_heads * p.shape.head_dim);
  p.heads = bytes_of(p.heads, p.count);
  p.pattern_begin = bytes_of(p.pattern_begin, p.layout.rows);
  std::int64_t floats = 0;
  for (std::int32_t row = 0; row < p.layout.rows; ++row) {
    const std::int64_t own = p.layout.row_begin[row + 1] - p.layout.row_begin[row];
    floats = std::max(floats, p.pattern_begin[row] + p.count * own * (p.layout.prefix(row) + own));
  }
  p.pattern = bytes_of(p.pattern, floats);
  attention_pattern(on_host(context), p);
}

void paged_store_cuda(const Context& context, const PagedStore& params) {
  PagedStore p = params;
  const test::HostPages pages(p.rows, p.shape);
  p.rows = pages.rows;
  const std::int64_t key = p.rows.layout.token_count * p.shape.kv_heads * p.shape.head_dim;
  p.k = bytes_of(p.k, key);
  p.v = bytes_of(p.v, key);
  paged_store(on_host(context), p);
}

std::int64_t paged_attention_bytes_cuda(const PagedAttentionSize&) {
  return 0;  // the host's
}

// The plan of a layer says where the layer's table of pages is.
std::int64_t paged_plan_size_cuda(const AttentionShape&, const RowLayout& layout) {
  return layout.rows > 1 ? test::kPlanSize : 0;
}

void paged_plan_cuda(const Context&, const PagedPlan& params) {
  std::int32_t* plan = bytes_of(params.plan, params.layers * test::kPlanSize);
  for (std::int64_t layer = 0; layer < params.layers; ++layer) {
    float* const* pages = params.rows.pages + layer * params.layer_step;
    std::memcpy(plan + layer * test::kPlanSize, &pages, sizeof pages);
  }
}

void paged_attention_cuda(const Context& context, const PagedAttention& params) {
  test::check_plan(params);
  PagedAttention p = params;
  p.plan = nullptr;
  const test::HostPages pages(p.rows, p.shape);
  p.rows = pages.rows;
  const std::int64_t query = p.rows.layout.token_count * p.shape.heads * p.shape.head_dim;
  p.q = bytes_of(p.q, query);
  p.z = bytes_of(p.z, query);
  const std::int64_t key = p.rows.layout.token_count * p.shape.kv_heads * p.shape.head_dim;
  p.k = bytes_of(p.k, key);
  p.v = bytes_of(p.v, key);
  p.gate = bytes_of(p.gate, p.rows.layout, p.shape);
  paged_attention(on_host(context), p);
}

}  // namespace headspark
