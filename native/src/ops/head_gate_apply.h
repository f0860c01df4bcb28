// z' = s z + (1 - s) r for one token and head, shared by every attention; constexpr, so that
// kernels may call it too (nvcc --expt-relaxed-constexpr).
#pragma once

#include <cstdint>

#include "headspark/head_gate.h"

namespace headspark {

/// Where a token stands when its gate is applied.
struct GatedToken {
  std::int64_t row = 0;
  std::int64_t token = 0;     ///< of this row's own tokens
  std::int64_t position = 0;  ///< in its sequence, prefix included
};

/// s of this head at this token; 1 (untouched) without a gate and outside the gate's positions.
constexpr float gate_scale(const HeadGate& gate, const GatedToken& at, std::int64_t head,
                           std::int64_t heads) {
  if (!gate.active()) return 1.0f;
  if (gate.gate_begin != nullptr && at.position < gate.gate_begin[at.row]) return 1.0f;
  if (gate.gate_end != nullptr && at.position >= gate.gate_end[at.row]) return 1.0f;
  return gate.scale[at.row * heads + head];
}

/// The replacement r [head_dim] of this head at this token; null stands for zero.
constexpr const float* gate_replacement(const HeadGate& gate, const GatedToken& at,
                                        std::int64_t head, std::int64_t heads,
                                        std::int64_t head_dim) {
  switch (gate.kind) {
    case Replacement::shared:
      return gate.replacement + head * head_dim;
    case Replacement::position:
      return gate.replacement + (at.position * heads + head) * head_dim;
    case Replacement::token:
      return gate.replacement +
             ((gate.replacement_begin[at.row] + at.token) * heads + head) * head_dim;
    case Replacement::zero:
      break;
  }
  return nullptr;
}

/// z' = s z + (1 - s) r. s = 1 keeps the bits of z; s = 0 gives exactly r even if z is not finite.
constexpr float gated_value(float scale, float z, float replacement) {
  if (scale == 1.0f) return z;
  if (scale == 0.0f) return replacement;
  return scale * z + (1.0f - scale) * replacement;
}

}  // namespace headspark
