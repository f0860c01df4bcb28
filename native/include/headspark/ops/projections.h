// The linear layers that read one norm: q, k and v of a block, with the norm's output never leaving
// the processor's caches where rows go through in blocks. y_i = W_i norm(x) + b_i, and backward
// d_x += norm_backward(x, sum over i of d_y_i W_i).
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/context.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/norm.h"

namespace headspark {

struct ProjectionsForward {
  struct Output {
    const LinearWeight* weight = nullptr;  ///< [out, width]
    float* y = nullptr;                    ///< [tokens, out]
  };
  const NormWeight* norm = nullptr;
  std::vector<Output> outputs;
  std::int64_t tokens = 0;
  const float* x = nullptr;  ///< [tokens, width]
  float* normed = nullptr;   ///< workspace [tokens, width]
};

struct ProjectionsBackward {
  struct Input {
    const LinearWeight* weight = nullptr;
    const float* d_y = nullptr;  ///< [tokens, out]
  };
  const NormWeight* norm = nullptr;
  std::vector<Input> inputs;
  std::int64_t tokens = 0;
  const float* x = nullptr;   ///< [tokens, width], the norm's input
  float* d_x = nullptr;       ///< [tokens, width], added to
  float* d_normed = nullptr;  ///< workspace [tokens, width]
};

/// Step by step, or with the same bits: on the CPU, where there are rows enough, block of rows by
/// block of rows; on a GPU with what products read made as their terms, once (projections_cuda.cc).
void projections_forward(const Context& context, const ProjectionsForward& params);
void projections_backward(const Context& context, const ProjectionsBackward& params);

}  // namespace headspark
