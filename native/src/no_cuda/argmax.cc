// Linked in builds without CUDA: the symbol of argmax_rows_cuda, a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void argmax_rows_cuda(const Context&, std::int64_t, std::int64_t, const float*, std::int32_t*) {
  throw_no_cuda("argmax_rows");
}

}  // namespace headspark
