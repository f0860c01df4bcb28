// Packed weights as the micro-kernels read them.
#pragma once

#include "cpu/packed_weights.h"
#include "cpu/range.h"

namespace headspark {

/// Depths of one block of a sum over `depth`: where a chain is stored and taken up again.
/// As equal as whole tiles of depth allow, since while one is multiplied the next is asked for.
std::int64_t depth_block(const GemmKernels& kernels, std::int64_t depth);

/// Panels over a range of depths, as memory to ask for.
inline Fetch read_of(const PackedPanels& packed, const Range& panels, const Range& depth) {
  return {packed.at(panels.begin, depth.begin), packed.depth_bytes(depth.count()),
          packed.panel_bytes(), panels.count()};
}

/// B of tile.panels panels from `panel` on, from depth k on, as the level reads it for tile.rows
/// rows and tile.depth depths: in place, or made fp32 or split into terms in a scratch of this
/// thread.
void read_packed(const KernelTable& kernels, const PackedPanels& packed, std::int64_t panel,
                 std::int64_t k, GemmTile& tile);

}  // namespace headspark
