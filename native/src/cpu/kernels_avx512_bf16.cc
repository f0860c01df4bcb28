// The kernel table of `fast` on AVX-512 with bf16 dot products: that level's matrix product over
// the avx512 kernels. Compiled with that level's flags, so it holds nothing else.

// GCC 12's own avx512fintrin.h trips this warning (gcc bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "cpu/kernels/bf16_dot_kernel.h"

namespace headspark {

const KernelTable& avx512_bf16_fast_kernels() {
  static const KernelTable table = [] {
    KernelTable fast = avx512_kernels();
    fast.gemm = Bf16DotKernel::kernels();
    fast.attention = fast.gemm;
    return fast;
  }();
  return table;
}

}  // namespace headspark
