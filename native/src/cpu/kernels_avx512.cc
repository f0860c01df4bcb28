// The kernel table of level avx512. Compiled with that level's flags, so it holds nothing else.

// GCC 12's own avx512fintrin.h trips this warning (gcc bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include "cpu/kernels/make_table.h"
#include "cpu/kernels/simd_avx512.h"

namespace headspark {

const KernelTable& avx512_kernels() {
  static constexpr KernelTable table = make_table<avx512::Simd>();
  return table;
}

}  // namespace headspark
