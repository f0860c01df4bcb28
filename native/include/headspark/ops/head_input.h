// What the heads of a block's projections send back to the residual stream, summed over copies of
// the same tokens: the gradient at the input of the norm that feeds q, k and v, per head.
// Integrated gradients need it only summed over the points of a path.
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/ops/linear.h"
#include "headspark/ops/norm.h"

namespace headspark {

/// forward: projected = W norm(x) + b, for every projection. Rows are [copies, tokens]; head h
/// reads rows (h / share) * head_dim … of W.
struct HeadInputBackward {
  struct Projection {
    const LinearWeight* weight = nullptr;
    std::int64_t heads = 0;
    std::int64_t share = 1;
    const float* projected = nullptr;  ///< [copies, tokens, heads / share * head_dim]
    const float* d = nullptr;  ///< [copies, tokens, heads, head_dim], gradient at the projection
    /// Head h at y + h * y_stride elements: [tokens, in], overwritten with the sum over copies of
    /// norm_backward(x, d_h W_h).
    float* y = nullptr;
    std::int64_t y_stride = 0;

    std::int64_t width(std::int64_t head_dim) const { return heads * head_dim; }  ///< of a row of d
  };
  const NormWeight* norm = nullptr;
  std::int64_t copies = 0;
  std::int64_t tokens = 0;  ///< of one copy
  std::int64_t head_dim = 0;
  const float* x = nullptr;  ///< [copies, tokens, in]
  DType type = DType::f32;   ///< of every y; on a GPU also bf16 in the room of floats, rounded once
  std::vector<Projection> projections;

  std::int64_t in() const { return static_cast<std::int64_t>(norm->weight.size()); }
};

void head_input_backward(const Context& context, const HeadInputBackward& params);

}  // namespace headspark
