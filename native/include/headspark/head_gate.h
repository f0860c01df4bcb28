// The intervention on heads: z' = s * z + (1 - s) * r, applied where attention writes z, the input
// of the output projection (design: zero, mean and resample ablation, and scaling, are one
// formula).
#pragma once

#include <cstdint>

namespace headspark {

/// How the replacement r of a head is found.
enum class Replacement {
  zero,      ///< r = 0
  shared,    ///< r = replacement[head * head_dim + i], the same at every token (mean ablation)
  position,  ///< r = replacement[(position * heads + head) * head_dim + i] (mean per position)
  token,  ///< r = replacement[((begin[row] + t) * heads + head) * head_dim + i] for the row's own
          ///< token t: a stored run of the same length (resample), shared by many rows
};

/// Which positions gates act on: all, the prompt's, or those after it (the continuation's).
enum class GatePositions { all, prompt, generated };

/// Gates of one layer for the rows of one batch. A null `scale` means no gate at all.
struct HeadGate {
  const float* scale = nullptr;  ///< [rows, heads]; 1 leaves the head untouched, bit for bit
  Replacement kind = Replacement::zero;
  /// See Replacement; may be null for zero. Read only where the scale is not 1.
  const float* replacement = nullptr;
  const std::int32_t* replacement_begin = nullptr;  ///< [rows], for Replacement::token
  /// Per row, [gate_begin, gate_end) are the positions the gate acts on; null: all positions.
  const std::int32_t* gate_begin = nullptr;
  const std::int32_t* gate_end = nullptr;

  constexpr bool active() const { return scale != nullptr; }
};

}  // namespace headspark
