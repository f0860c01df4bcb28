// Norms as their neighbours in a block want them: the output as terms of the products that read it,
// the gradient added to the residual stream's.
#pragma once

#include "cuda/gemm.h"
#include "headspark/ops/norm.h"

namespace headspark::cuda {

/// norm_forward as the rows of products: `terms` terms in scratch (term_rows), or 0: params.y.
GemmRows norm_forward_rows(const Context& context, const NormForward& params, int terms);

/// norm_backward, and sum += d_x; `sum` has the shape and the stride of d_x and may not be d_x.
void norm_backward_with_sum(OpDevice& device, const NormBackward& params, float* sum);

}  // namespace headspark::cuda
