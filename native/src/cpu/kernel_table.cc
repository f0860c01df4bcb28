// From a level to its kernels.
#include "cpu/kernel_table.h"

namespace headspark {

const KernelTable& kernel_table(Isa isa) {
#if HEADSPARK_X86
  if (isa >= Isa::avx512) return avx512_kernels();
  if (isa == Isa::avx2) return avx2_kernels();
#else
  static_cast<void>(isa);
#endif
  return portable_kernels();
}

}  // namespace headspark
