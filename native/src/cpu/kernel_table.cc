// From a level and a precision to its kernels.
#include "cpu/kernel_table.h"

#include "headspark/context.h"

namespace headspark {

const KernelTable& kernel_table(Isa isa, Precision precision) {
  if (isa == Isa::amx_emulated) return amx_emulated_kernels(precision);
  if (isa == Isa::amx_fp16_emulated) return amx_fp16_emulated_kernels(precision);
#if HEADSPARK_X86
  if (isa == Isa::amx_fp16) return amx_fp16_kernels(precision);
  if (isa == Isa::amx) return amx_kernels(precision);
  // Without bf16 instructions one bf16 term is no faster than fp32, so `fast` is `exact` there.
  if (isa == Isa::avx512_bf16 && precision == Precision::fast) return avx512_bf16_fast_kernels();
  if (isa >= Isa::avx512) return avx512_kernels();
  if (isa == Isa::avx2) return avx2_kernels();
#else
  static_cast<void>(precision);
#endif
  return portable_kernels();
}

const KernelTable& kernel_table(const Context& context) {
  return kernel_table(context.isa, context.precision);
}

}  // namespace headspark
