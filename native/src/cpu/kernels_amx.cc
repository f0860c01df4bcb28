// The kernel tables of levels amx and amx_fp16: matrix products on tiles over the avx512 kernels.
// Compiled with that level's flags, so it holds nothing else.

// GCC 12's own avx512fintrin.h trips this warning (gcc bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "cpu/kernels/bf16_terms_avx512.h"
#include "cpu/kernels/fp16_terms_avx512.h"
#include "cpu/kernels/tile_kernel.h"
#include "cpu/tiles/tiles_amx.h"

namespace headspark {

const KernelTable& amx_kernels(Precision precision) {
  static const KernelTable base = with_contraction_tiles<AmxTiles, Avx512Terms>(avx512_kernels());
  static const KernelTable exact = with_tiles<AmxTiles, Avx512Terms, kExactTerms>(base);
  static const KernelTable fast = with_tiles<AmxTiles, Avx512Terms, kFastTerms>(base);
  return precision == Precision::fast ? fast : exact;
}

const KernelTable& amx_fp16_kernels(Precision precision) {
  const KernelTable& of_bf16 = amx_kernels(precision);
  // One bf16 term is what `fast` promises, and needs no look at the rows first.
  if (precision == Precision::fast) return of_bf16;
  static const KernelTable exact =
      with_tiles<AmxFp16Tiles, Avx512Fp16Terms, kExactFp16Terms>(of_bf16);
  return exact;
}

}  // namespace headspark
