// The kernel table of level portable. Compiled with that level's flags, so it holds nothing else.
#include "cpu/kernels/make_table.h"
#include "cpu/kernels/simd_portable.h"

namespace headspark {

const KernelTable& portable_kernels() {
  static constexpr KernelTable table = make_table<portable::Simd>();
  return table;
}

}  // namespace headspark
