// Checks of paged_store, paged_plan and paged_attention and the choice of their backend.
#include "headspark/ops/paged_attention.h"

#include "cpu/fast_ops.h"
#include "ops/attention_check.h"
#include "ops/backends.h"
#include "ops/paged_attention_memory.h"

namespace headspark {
namespace {

void check_shape(const AttentionShape& shape, const char* op) {
  check_argument(shape.heads > 0 && shape.kv_heads > 0 && shape.head_dim > 0, op,
                 "shape.heads, shape.kv_heads and shape.head_dim must be positive");
  check_argument(shape.heads % shape.kv_heads == 0, op,
                 "shape.heads is not a multiple of shape.kv_heads");
}

// Host arrays are read only when the buffers are on the host too. True when there is work.
bool check_rows(const Context& context, const PagedRows& rows, const char* op) {
  const RowLayout& layout = rows.layout;
  check_argument(layout.rows >= 0, op, "rows.layout.rows is negative");
  if (layout.rows == 0) return false;
  check_pointer(layout.row_begin, op, "rows.layout.row_begin");
  check_pointer(rows.page_begin, op, "rows.page_begin");
  check_pointer(rows.pages, op, "rows.pages");
  check_argument(rows.type == DType::f32 || rows.type == DType::bf16, op,
                 "rows.type is neither f32 nor bf16");
  check_argument(context.on_cpu() || rows.type == kv_page_type(context), op,
                 "rows.type is not what this device reads");
  if (!context.on_cpu()) return layout.token_count > 0;
  check_argument(layout.row_begin[0] >= 0, op, "rows.layout.row_begin starts below 0");
  check_argument(rows.page_begin[0] >= 0, op, "rows.page_begin starts below 0");
  for (std::int32_t row = 0; row < layout.rows; ++row) {
    const std::int64_t own = layout.row_begin[row + 1] - layout.row_begin[row];
    check_argument(own >= 0, op, "rows.layout.row_begin is not ascending");
    check_argument(layout.query_begin(row) >= 0 && layout.query_begin(row) <= own, op,
                   "rows.layout.first_query is outside its row");
    check_argument(layout.prefix(row) >= 0, op, "rows.layout.prefix_length is negative");
    const std::int64_t pages = rows.page_begin[row + 1] - rows.page_begin[row];
    check_argument(pages >= 0, op, "rows.page_begin is not ascending");
    check_argument(own == 0 || pages * kKvPageTokens >= layout.prefix(row) + own, op,
                   "a row has fewer pages than its tokens need");
    for (std::int32_t page = rows.page_begin[row]; page < rows.page_begin[row + 1]; ++page) {
      check_pointer(rows.pages[page], op, "a page");
    }
  }
  check_argument(layout.token_count == layout.row_begin[layout.rows], op,
                 "rows.layout.token_count is not the end of rows.layout.row_begin");
  return layout.token_count > 0;
}

}  // namespace

DType kv_page_type(const Context& context) {
  return !context.on_cpu() && context.precision == Precision::fast ? DType::bf16 : DType::f32;
}

std::int64_t paged_attention_bytes(const Context& context, const PagedAttentionSize& size) {
  return context.on_cpu() ? 0 : paged_attention_bytes_cuda(size);
}

std::int64_t paged_plan_size(const Context& context, const AttentionShape& shape,
                             const RowLayout& layout) {
  check_shape(shape, "paged_plan_size");
  return context.on_cpu() ? 0 : paged_plan_size_cuda(shape, layout);
}

void paged_plan(const Context& context, const PagedPlan& params) {
  const char* op = "paged_plan";
  check_shape(params.shape, op);
  check_argument(params.layers >= 0, op, "layers is negative");
  check_argument(params.layer_step >= 0, op, "layer_step is negative");
  if (!check_rows(context, params.rows, op)) return;
  if (paged_plan_size(context, params.shape, params.rows.layout) == 0) return;
  if (params.layers == 0) return;
  check_pointer(params.plan, op, "plan");
  paged_plan_cuda(context, params);
}

void paged_store(const Context& context, const PagedStore& params) {
  const char* op = "paged_store";
  check_shape(params.shape, op);
  if (!check_rows(context, params.rows, op)) return;
  check_pointer(params.k, op, "k");
  check_pointer(params.v, op, "v");
  if (!context.on_cpu()) return paged_store_cuda(context, params);
  paged_store_cpu(context, params);
}

void paged_attention(const Context& context, const PagedAttention& params) {
  const char* op = "paged_attention";
  check_shape(params.shape, op);
  if (!check_rows(context, params.rows, op)) return;
  check_pointer(params.q, op, "q");
  check_pointer(params.z, op, "z");
  check_gate(params.gate, op);
  check_argument((params.k == nullptr) == (params.v == nullptr), op,
                 "k and v must be given together, or neither");
  if (has_fast_kernels(context) && params.rows.type == DType::f32) {
    return paged_attention_fast(context, params);
  }
  if (!context.on_cpu()) return paged_attention_cuda(context, params);
  PagedAttention stored = params;
  if (params.k != nullptr) {
    paged_store(context, {params.shape, params.rows, params.k, params.v});
    stored.k = stored.v = nullptr;
  }
  paged_attention_cpu(context, stored);
}

}  // namespace headspark
