// Norms as their neighbours in a block want them: the output as terms of the products that read it,
// the gradient added to the residual stream's.
#pragma once

#include "cuda/term_rows.h"
#include "headspark/ops/norm.h"

namespace headspark::cuda {

/// The norm of x (rows of params.x), as terms: the values of norm_forward, which writes params.y.
void norm_forward_terms(OpDevice& device, const NormForward& params, const TermRows& y);

/// norm_backward, and sum += d_x; `sum` has the shape and the stride of d_x and may not be d_x.
void norm_backward_with_sum(OpDevice& device, const NormBackward& params, float* sum);

}  // namespace headspark::cuda
