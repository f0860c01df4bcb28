// Checks of the row-wise ops and the choice of their backend.
#include "headspark/ops/rows.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {

void gather_rows(const Context& context, std::int64_t count, std::int64_t width,
                 const std::int32_t* index, const float* x, float* y) {
  const char* op = "gather_rows";
  check_argument(count >= 0 && width >= 0, op, "count or width is negative");
  if (count == 0 || width == 0) return;
  check_pointer(index, op, "index");
  check_pointer(x, op, "x");
  check_pointer(y, op, "y");
  if (!context.on_cpu()) return gather_rows_cuda(context, count, width, index, x, y);
  gather_rows_cpu(context, count, width, index, x, y);
}

void scatter_add_rows(const Context& context, std::int64_t count, std::int64_t width,
                      const std::int32_t* index, const float* x, float* y) {
  const char* op = "scatter_add_rows";
  check_argument(count >= 0 && width >= 0, op, "count or width is negative");
  if (count == 0 || width == 0) return;
  check_pointer(index, op, "index");
  check_pointer(x, op, "x");
  check_pointer(y, op, "y");
  if (!context.on_cpu()) return scatter_add_rows_cuda(context, count, width, index, x, y);
  scatter_add_rows_cpu(context, count, width, index, x, y);
}

void combine(const Context& context, const Combine& params) {
  const char* op = "combine";
  check_argument(params.count >= 0, op, "count is negative");
  if (params.count == 0) return;
  check_pointer(params.x, op, "x");
  check_pointer(params.y, op, "y");
  check_row_type(context, params.type, op);
  check_argument(params.type == DType::f32 || params.b == 0.0f || params.base != nullptr, op,
                 "y is bf16 and would be read; give base");
  if (!context.on_cpu()) return combine_cuda(context, params);
  if (context.isa != Isa::specification) return combine_fast(context, params);
  combine_cpu(context, params);
}

void interpolate(const Context& context, const Interpolate& params) {
  const char* op = "interpolate";
  check_argument(params.rows >= 0 && params.width >= 0, op, "rows or width is negative");
  if (params.rows == 0 || params.width == 0) return;
  check_pointer(params.alpha, op, "alpha");
  check_pointer(params.clean, op, "clean");
  check_pointer(params.corrupted, op, "corrupted");
  check_pointer(params.y, op, "y");
  if (!context.on_cpu()) return interpolate_cuda(context, params);
  if (context.isa != Isa::specification) return interpolate_fast(context, params);
  interpolate_cpu(context, params);
}

void sum_blocks(const Context& context, const SumBlocks& params) {
  const char* op = "sum_blocks";
  check_argument(params.groups >= 0 && params.steps >= 0 && params.block >= 0, op,
                 "groups, steps or block is negative");
  if (params.groups == 0 || params.block == 0) return;
  if (params.steps > 0) check_pointer(params.x, op, "x");
  check_pointer(params.y, op, "y");
  check_row_type(context, params.type, op);
  check_argument(params.type == DType::f32 || !params.add_to_y, op,
                 "y is bf16, which nothing is added to");
  if (!context.on_cpu()) return sum_blocks_cuda(context, params);
  if (context.isa != Isa::specification) return sum_blocks_fast(context, params);
  sum_blocks_cpu(context, params);
}

void sum_rows(const Context& context, const SumRows& params) {
  const char* op = "sum_rows";
  check_argument(params.rows >= 0 && params.width >= 0, op, "rows or width is negative");
  check_argument(params.slots != nullptr || params.slot_count == 1, op,
                 "slots is null with more than one slot");
  if (params.rows == 0 || params.width == 0) return;
  check_pointer(params.x, op, "x");
  check_pointer(params.sums, op, "sums");
  if (!context.on_cpu()) return sum_rows_cuda(context, params);
  sum_rows_cpu(context, params);
}

void row_norms(const Context& context, const RowNorms& params) {
  const char* op = "row_norms";
  check_argument(params.rows >= 0 && params.width >= 0, op, "rows or width is negative");
  if (params.rows == 0) return;
  if (params.width > 0) check_pointer(params.x, op, "x");
  check_pointer(params.norms, op, "norms");
  if (!context.on_cpu()) return row_norms_cuda(context, params);
  row_norms_cpu(context, params);
}

}  // namespace headspark
