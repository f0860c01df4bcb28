// Checks of copy_blocks and the choice of its backend.
#include "headspark/ops/copy_blocks.h"

#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {

void copy_blocks(const Context& context, const CopyBlocks& params) {
  const char* op = "copy_blocks";
  check_argument(params.count >= 0 && params.width >= 0, op, "count or width is negative");
  if (params.count == 0 || params.width == 0) return;
  check_pointer(params.from, op, "from");
  check_pointer(params.to, op, "to");
  if (!context.on_cpu()) return copy_blocks_cuda(context, params);
  for (std::int64_t i = 0; i < params.count; ++i) {
    check_pointer(params.from[i], op, "an entry of from");
    check_pointer(params.to[i], op, "an entry of to");
  }
  copy_blocks_cpu(context, params);
}

}  // namespace headspark
