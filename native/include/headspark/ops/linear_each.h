// Linear layers that read rows of their own, through one norm or none: the heads of a circuit,
// whose inputs differ. y_i = W_i norm(x_i) + b_i, for parts of layers as in linear.
#pragma once

#include <vector>

#include "headspark/context.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/norm.h"

namespace headspark {

struct LinearEach {
  const NormWeight* norm = nullptr;   ///< null: none
  std::vector<LinearForward> layers;  ///< none reads what another writes; without residual
  float* normed = nullptr;            ///< workspace [tokens of the longest layer, width of norm]
};

/// As norm_forward and linear_forward one layer after the other, with their bits; the CPU runs all
/// layers in one parallel loop, and what the norm leaves stays in L2.
void linear_forward_each(const Context& context, const LinearEach& params);

}  // namespace headspark
