// Checks of argmax_rows and the choice of its backend.
#include "headspark/ops/argmax.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {

void argmax_rows(const Context& context, std::int64_t rows, std::int64_t width, const float* x,
                 std::int32_t* index) {
  const char* op = "argmax_rows";
  check_argument(rows >= 0 && width > 0, op, "rows is negative or width is not positive");
  if (rows == 0) return;
  check_pointer(x, op, "x");
  check_pointer(index, op, "index");
  if (!context.on_cpu()) return argmax_rows_cuda(context, rows, width, x, index);
  if (has_fast_kernels(context)) return argmax_rows_fast(context, rows, width, x, index);
  argmax_rows_cpu(context, rows, width, x, index);
}

}  // namespace headspark
