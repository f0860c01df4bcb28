// The kernel tables of levels amx_emulated and amx_fp16_emulated: the AMX matrix products with
// software tiles.
#include "cpu/kernels/tile_kernel.h"
#include "cpu/tiles/tiles_emulated.h"

namespace headspark {
namespace {

template <int Terms>
const KernelTable& emulated_table() {
  static const KernelTable table = [] {
    KernelTable tiles = portable_kernels();
    tiles.gemm = TileKernel<EmulatedTiles, PlainTerms, Terms>::kernels();
    if (Terms == kFastTerms) tiles.attention = tiles.gemm;
    return tiles;
  }();
  return table;
}

}  // namespace

const KernelTable& amx_emulated_kernels(Precision precision) {
  return precision == Precision::fast ? emulated_table<kFastTerms>()
                                      : emulated_table<kExactTerms>();
}

const KernelTable& amx_fp16_emulated_kernels(Precision precision) {
  if (precision == Precision::fast) return amx_emulated_kernels(precision);
  static const KernelTable table = [] {
    KernelTable tiles = portable_kernels();
    tiles.gemm = TileKernel<EmulatedFp16Tiles, PlainFp16Terms, kExactFp16Terms>::kernels();
    return tiles;
  }();
  return table;
}

}  // namespace headspark
