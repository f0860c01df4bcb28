// The kernel tables of levels amx_emulated and amx_fp16_emulated: the AMX matrix products with
// software tiles.
#include "cpu/kernels/tile_kernel.h"
#include "cpu/tiles/tiles_emulated.h"

namespace headspark {

const KernelTable& amx_emulated_kernels(Precision precision) {
  static const KernelTable base =
      with_contraction_tiles<EmulatedTiles, PlainTerms>(portable_kernels());
  static const KernelTable exact = with_tiles<EmulatedTiles, PlainTerms, kExactTerms>(base);
  static const KernelTable fast = with_tiles<EmulatedTiles, PlainTerms, kFastTerms>(base);
  return precision == Precision::fast ? fast : exact;
}

const KernelTable& amx_fp16_emulated_kernels(Precision precision) {
  const KernelTable& of_bf16 = amx_emulated_kernels(precision);
  if (precision == Precision::fast) return of_bf16;
  static const KernelTable exact =
      with_tiles<EmulatedFp16Tiles, PlainFp16Terms, kExactFp16Terms>(of_bf16);
  return exact;
}

}  // namespace headspark
