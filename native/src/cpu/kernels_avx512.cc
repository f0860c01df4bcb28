// The kernel table of level avx512. Compiled with that level's flags, so it holds nothing else.

// GCC 12's own avx512fintrin.h trips this warning (gcc bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "cpu/kernels/make_table.h"
#include "cpu/kernels/simd_avx512.h"
#include "headspark/device.h"

namespace headspark {

const KernelTable& avx512_kernels() {
  static const KernelTable table = [] {
    KernelTable kernels = make_table<avx512::Simd>();
    if (!cpu_features().intel) return kernels;
    // Its two ports for multiply-adds of 512 bits are all it has for shifts and masks of so many:
    // bf16 weights are made fp32 once for many rows, and blocks have more rows, of which L2 has
    // room.
    kernels.gemm.expand_rows = 49;
    kernels.gemm.block_rows = 144;
    return kernels;
  }();
  return table;
}

}  // namespace headspark
