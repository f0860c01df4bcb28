// The kernel table of level avx2. Compiled with that level's flags, so it holds nothing else.
#include "cpu/kernels/make_table.h"
#include "cpu/kernels/simd_avx2.h"

namespace headspark {

const KernelTable& avx2_kernels() {
  static constexpr KernelTable table = make_table<avx2::Simd>();
  return table;
}

}  // namespace headspark
