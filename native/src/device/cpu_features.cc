// Processor features by cpuid and xgetbv. A feature counts only when the operating system also
// saves its registers, or the first use would be an illegal instruction.
#include "headspark/device.h"

#if HEADSPARK_X86
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace headspark {
namespace {

#if HEADSPARK_X86

struct Registers {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (!__get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx)) return {};
  return r;
}

bool bit(unsigned word, int index) {
  return (word >> index) & 1u;
}

unsigned long long enabled_state() {
  unsigned low = 0;
  unsigned high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<unsigned long long>(high) << 32) | low;
}

// Linux hands out the 8 KiB of AMX tile state only to processes that ask for it.
bool amx_permitted() {
#if defined(__linux__)
  constexpr int arch_request_xcomp_permission = 0x1023;
  constexpr int tile_data_feature = 18;
  return syscall(SYS_arch_prctl, arch_request_xcomp_permission, tile_data_feature) == 0;
#else
  return false;
#endif
}

// The vendor's name in the order of its registers.
bool made_by_intel() {
  const Registers vendor = cpuid(0, 0);
  return vendor.ebx == signature_INTEL_ebx && vendor.edx == signature_INTEL_edx &&
         vendor.ecx == signature_INTEL_ecx;
}

CpuFeatures probe() {
  CpuFeatures features;
  features.intel = made_by_intel();
  const Registers basic = cpuid(1, 0);
  if (!bit(basic.ecx, 27)) return features;  // OSXSAVE: xgetbv may be executed
  const unsigned long long state = enabled_state();
  const bool ymm_saved = (state & 0x6) == 0x6;
  const bool zmm_saved = (state & 0xe6) == 0xe6;
  const bool tiles_saved = (state & 0x60000) == 0x60000;
  const Registers extended = cpuid(7, 0);
  const Registers extended1 = cpuid(7, 1);

  features.fma = ymm_saved && bit(basic.ecx, 12);
  features.f16c = ymm_saved && bit(basic.ecx, 29);
  features.avx2 = ymm_saved && bit(extended.ebx, 5);
  features.avx512f = zmm_saved && bit(extended.ebx, 16);
  features.avx512dq = zmm_saved && bit(extended.ebx, 17);
  features.avx512bw = zmm_saved && bit(extended.ebx, 30);
  features.avx512vl = zmm_saved && bit(extended.ebx, 31);
  features.avx512_bf16 = zmm_saved && bit(extended1.eax, 5);
  if (tiles_saved && bit(extended.edx, 24) && amx_permitted()) {
    features.amx_tile = true;
    features.amx_bf16 = bit(extended.edx, 22);
    features.amx_fp16 = bit(extended1.eax, 21);
  }
  return features;
}

#else

CpuFeatures probe() {
  return {};
}

#endif

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = probe();
  return features;
}

}  // namespace headspark
