// The kernel tables of levels amx_emulated and amx_fp16_emulated: the AMX matrix products with
// software tiles.
#include "cpu/kernels/tile_kernel.h"
#include "cpu/tiles/tiles_emulated.h"

namespace headspark {

const KernelTable& amx_emulated_kernels(Precision precision) {
  static const KernelTable exact =
      with_tiles<EmulatedTiles, PlainTerms, kExactTerms>(portable_kernels());
  static const KernelTable fast =
      with_tiles<EmulatedTiles, PlainTerms, kFastTerms>(portable_kernels());
  return precision == Precision::fast ? fast : exact;
}

const KernelTable& amx_fp16_emulated_kernels(Precision precision) {
  if (precision == Precision::fast) return amx_emulated_kernels(precision);
  static const KernelTable exact =
      with_tiles<EmulatedFp16Tiles, PlainFp16Terms, kExactFp16Terms>(portable_kernels());
  return exact;
}

}  // namespace headspark
