// edge_contraction as matrix products, of levels whose table has some for it.
#pragma once

#include <span>

#include "headspark/ops/edge_contraction.h"

namespace headspark {

void edge_contraction_in_tiles(const Context& context,
                               std::span<const EdgeContraction> contractions);

}  // namespace headspark
