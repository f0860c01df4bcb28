// Checks of attention_pattern and the choice of its backend.
#include "headspark/ops/attention_pattern.h"

#include "cpu/fast_ops.h"
#include "ops/attention_check.h"
#include "ops/backends.h"

namespace headspark {
namespace {

// Host arrays are read only when the buffers are on the host too.
void check_heads(const AttentionPattern& params, const char* op) {
  for (std::int64_t i = 0; i < params.count; ++i) {
    check_argument(params.heads[i] >= 0 && params.heads[i] < params.shape.heads, op,
                   "heads names a head outside the shape");
    check_argument(i == 0 || params.heads[i] > params.heads[i - 1], op, "heads is not ascending");
  }
  for (std::int32_t row = 0; row < params.layout.rows; ++row) {
    check_argument(params.layout.prefix(row) == 0 || params.prefix_k != nullptr, op,
                   "a row has a prefix but prefix_k is null");
    check_argument(params.pattern_begin[row] >= 0, op, "pattern_begin is negative");
  }
}

}  // namespace

void attention_pattern(const Context& context, const AttentionPattern& params) {
  const char* op = "attention_pattern";
  check_attention_shape(params.shape, op);
  check_attention_layout(context, params.layout, op);
  check_argument(params.count >= 0, op, "count is negative");
  if (params.count == 0 || params.layout.token_count == 0) return;
  check_pointer(params.q, op, "q");
  check_pointer(params.k, op, "k");
  check_pointer(params.heads, op, "heads");
  check_pointer(params.pattern_begin, op, "pattern_begin");
  check_pointer(params.pattern, op, "pattern");
  if (!context.on_cpu()) return attention_pattern_cuda(context, params);
  check_heads(params, op);
  if (context.isa != Isa::specification) return attention_pattern_fast(context, params);
  attention_pattern_cpu(context, params);
}

}  // namespace headspark
