// Linked in builds without CUDA: the symbols of rows_cuda, each a clear error.
#include "no_cuda/no_cuda.h"
#include "ops/backends.h"

namespace headspark {

void gather_rows_cuda(const Context&, std::int64_t, std::int64_t, const std::int32_t*, const float*,
                      float*) {
  throw_no_cuda("gather_rows");
}

void scatter_add_rows_cuda(const Context&, std::int64_t, std::int64_t, const std::int32_t*,
                           const float*, float*) {
  throw_no_cuda("scatter_add_rows");
}

void combine_cuda(const Context&, const Combine&) {
  throw_no_cuda("combine");
}

void interpolate_cuda(const Context&, const Interpolate&) {
  throw_no_cuda("interpolate");
}

void sum_blocks_cuda(const Context&, const SumBlocks&) {
  throw_no_cuda("sum_blocks");
}

void sum_rows_cuda(const Context&, const SumRows&) {
  throw_no_cuda("sum_rows");
}

void row_norms_cuda(const Context&, const RowNorms&) {
  throw_no_cuda("row_norms");
}

}  // namespace headspark
