// Checks of embedding and the choice of its backend.
#include "headspark/ops/embedding.h"

#include "cpu/fast_ops.h"
#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {

void embedding_forward(const Context& context, const EmbeddingForward& params) {
  const char* op = "embedding_forward";
  check_pointer(params.table, op, "table");
  check_pointer(params.table->data, op, "table.data");
  check_argument(params.tokens >= 0, op, "tokens is negative");
  if (params.tokens == 0) return;
  check_pointer(params.indices, op, "indices");
  check_pointer(params.y, op, "y");
  if (!context.on_cpu()) return embedding_forward_cuda(context, params);
  for (std::int64_t t = 0; t < params.tokens; ++t) {
    check_argument(params.indices[t] >= 0 && params.indices[t] < params.table->rows, op,
                   "an index is outside the table; the token id is not in the vocabulary");
  }
  if (context.isa != Isa::specification) return embedding_forward_fast(context, params);
  embedding_forward_cpu(context, params);
}

}  // namespace headspark
