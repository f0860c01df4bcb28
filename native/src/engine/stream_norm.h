// A norm over rows as wide as the residual stream.
#pragma once

#include <cstdint>

#include "headspark/engine.h"
#include "headspark/ops/norm.h"

namespace headspark {

/// y [rows, hidden] = norm(x); y may be x.
inline void norm_stream(const Engine& engine, const NormWeight& norm, std::int64_t rows,
                        const float* x, float* y) {
  const std::int64_t hidden = engine.config().hidden;
  norm_forward(
      engine.context,
      {.norm = &norm, .rows = rows, .x = x, .x_stride = hidden, .y = y, .y_stride = hidden});
}

}  // namespace headspark
