// Linked in builds without CUDA: the symbol of sample_rows_cuda, a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void sample_rows_cuda(const Context&, const SampleRows&) {
  throw_no_cuda("sample_rows");
}

}  // namespace headspark
