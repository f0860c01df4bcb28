// An element per thread: a weight is split once.
#include "cuda/bf16_terms.h"
#include "cuda/elements.h"
#include "cuda/stored_value.h"
#include "cuda/value_terms.h"

namespace headspark::cuda {
namespace {

template <int Terms>
HEADSPARK_KERNEL(kElementThreads)
split_values_kernel(SplitValues p) {
  const std::int64_t i = element_index();
  if (i >= p.count) return;
  const TermPair<Terms> pair = split_pair<Terms>(stored_value(p.values, p.type, i), 0.0f);
  HEADSPARK_UNROLL
  for (int t = 0; t < Terms; ++t) {
    p.to[t * p.term_stride + i] = static_cast<std::uint16_t>(pair.term[t] & 0xffffu);
  }
}

}  // namespace

void split_values(Stream stream, const SplitValues& params) {
  if (params.count == 0) return;
  launch(stream, element_shape(params.count),
         params.terms == 1   ? &split_values_kernel<1>
         : params.terms == 2 ? &split_values_kernel<2>
                             : &split_values_kernel<3>,
         params);
}

}  // namespace headspark::cuda
