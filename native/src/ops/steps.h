// Ops that run whole, as the ops that they are made of, one after the other: what the faster ways
// are compared with, and what runs where those do not pay.
#pragma once

#include "headspark/ops/linear_each.h"
#include "headspark/ops/mlp.h"
#include "headspark/ops/projections.h"

namespace headspark {

void mlp_forward_in_steps(const Context& context, const MlpForward& params);
void mlp_backward_in_steps(const Context& context, const MlpBackward& params);
void projections_forward_in_steps(const Context& context, const ProjectionsForward& params);
void linear_forward_each_in_steps(const Context& context, const LinearEach& params);

}  // namespace headspark
