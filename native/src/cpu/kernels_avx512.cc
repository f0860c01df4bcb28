// The kernel table of level avx512. Compiled with that level's flags, so it holds nothing else.
#include "cpu/kernels/make_table.h"
#include "cpu/kernels/simd_avx512.h"

namespace headspark {

const KernelTable& avx512_kernels() {
  static constexpr KernelTable table = make_table<avx512::Simd>();
  return table;
}

}  // namespace headspark
