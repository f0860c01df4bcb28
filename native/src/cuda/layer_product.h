// The product of a layer's matrix with rows, in both directions, with bias, residual and low-rank
// term: what linear does, for ops that make the rows as terms.
#pragma once

#include <span>

#include "cuda/gemm.h"
#include "headspark/ops/linear.h"

namespace headspark::cuda {

/// linear_forward of rows that stand for params.x. `plain` (shape and stride of params.y, or null)
/// gets the output without residual, `narrow` (the same, of bf16) the rounded output instead of
/// params.y; neither with a low-rank term.
void layer_forward(const Context& context, const LinearForward& params, const GemmRows& x,
                   float* plain = nullptr, std::uint16_t* narrow = nullptr);

/// One of the layers that read the same rows; `narrow` as above.
struct LayerOutput {
  LinearForward params;
  std::uint16_t* narrow = nullptr;
};

/// layer_forward of each, side by side where the rows are few: then none of the products fills a
/// device.
void layers_forward(const Context& context, std::span<const LayerOutput> layers, const GemmRows& x);

/// linear_backward of rows that stand for params.d_y; `narrow` as above, instead of params.d_x.
void layer_backward(const Context& context, const LinearBackward& params, const GemmRows& d_y,
                    std::uint16_t* narrow = nullptr);

/// The terms that rows for these layers (null: none) are worth making as; 0: fp32. One term is half
/// of fp32's bytes; three are more, and made where all layers' products read them.
int terms_for(const Context& context, std::span<const LinearWeight* const> layers);

}  // namespace headspark::cuda
