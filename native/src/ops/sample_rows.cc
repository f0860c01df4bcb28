// Checks of sample_rows and the choice of its backend.
#include "headspark/ops/sample_rows.h"

#include <limits>

#include "ops/backends.h"
#include "ops/check.h"

namespace headspark {

void sample_rows(const Context& context, const SampleRows& params) {
  const char* op = "sample_rows";
  check_argument(params.rows >= 0 && params.vocab > 0, op,
                 "rows is negative or vocab is not positive");
  check_argument(params.vocab <= std::numeric_limits<std::int32_t>::max(), op,
                 "vocab does not fit the 32 bits of a token id");
  check_argument(params.stride >= params.vocab && params.stride % 4 == 0, op,
                 "stride is less than vocab or no multiple of 4");
  if (params.rows == 0) return;
  check_pointer(params.logits, op, "logits");
  check_pointer(params.draws, op, "draws");
  check_pointer(params.drawn, op, "drawn");
  if (!context.on_cpu()) return sample_rows_cuda(context, params);
  sample_rows_cpu(context, params);
}

}  // namespace headspark
