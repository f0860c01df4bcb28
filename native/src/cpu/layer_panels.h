// A layer's packed weights in one direction, as products take them.
#pragma once

#include "cpu/packed_weights.h"
#include "headspark/context.h"
#include "headspark/weight.h"

namespace headspark {

/// result += scale (rows down) up.
struct LowRankPanels {
  const PackedPanels* down = nullptr;  ///< [depth, rank]
  const PackedPanels* up = nullptr;    ///< [rank, columns]
  std::int64_t rank = 0;               ///< 0: no term
  float scale = 0.0f;
};

struct LayerPanels {
  const PackedPanels* main = nullptr;
  LowRankPanels low_rank;
};

/// Packed on first use. Forward: y = x Wᵀ; transposed: d_x = d_y W.
LayerPanels layer_panels(const Context& context, const LinearWeight& weight,
                         PackedWeights::Direction direction);

}  // namespace headspark
