// Names of the kernel levels and the choice of one.
#include "headspark/isa.h"

#include <cstdlib>
#include <string>

#include "headspark/device.h"
#include "headspark/error.h"

namespace headspark {
namespace {

constexpr Isa kLevels[] = {Isa::specification, Isa::portable,     Isa::avx2,
                           Isa::avx512,        Isa::avx512_bf16,  Isa::amx,
                           Isa::amx_fp16,      Isa::amx_emulated, Isa::amx_fp16_emulated};

std::string level_list() {
  std::string names;
  for (const Isa isa : kLevels) {
    if (!names.empty()) names += isa == Isa::amx_fp16_emulated ? " or " : ", ";
    names += isa_name(isa);
  }
  return names;
}

}  // namespace

std::span<const Isa> isa_levels() noexcept {
  return kLevels;
}

const char* isa_name(Isa isa) noexcept {
  switch (isa) {
    case Isa::specification:
      return "specification";
    case Isa::portable:
      return "portable";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::amx:
      return "amx";
    case Isa::amx_fp16:
      return "amx_fp16";
    case Isa::amx_emulated:
      return "amx_emulated";
    case Isa::amx_fp16_emulated:
      return "amx_fp16_emulated";
  }
  return "unknown";
}

const char* precision_name(Precision precision) noexcept {
  return precision == Precision::fast ? "fast" : "exact";
}

Isa machine_isa() {
#if HEADSPARK_X86
  const CpuFeatures& f = cpu_features();
  const bool avx2 = f.avx2 && f.fma && f.f16c;
  const bool avx512 = avx2 && f.avx512f && f.avx512bw && f.avx512vl && f.avx512dq;
  if (avx512 && f.avx512_bf16 && f.amx_tile && f.amx_bf16) {
    return f.amx_fp16 ? Isa::amx_fp16 : Isa::amx;
  }
  if (avx512 && f.avx512_bf16) return Isa::avx512_bf16;
  if (avx512) return Isa::avx512;
  if (avx2) return Isa::avx2;
#endif
  return Isa::portable;
}

bool isa_runs_here(Isa isa) {
  if (isa == Isa::amx_emulated || isa == Isa::amx_fp16_emulated) return true;
  const Isa best = machine_isa();
  return isa <= best || (isa == Isa::amx_fp16 && best == Isa::amx && fp16_tiles_run());
}

Isa best_running_isa() {
  return isa_runs_here(Isa::amx_fp16) ? Isa::amx_fp16 : machine_isa();
}

Isa default_isa() {
  const Isa best = machine_isa();
  const char* value = std::getenv("HEADSPARK_ISA");
  if (value == nullptr || *value == '\0') return best;
  for (const Isa isa : kLevels) {
    if (std::string(value) != isa_name(isa)) continue;
    if (isa_runs_here(isa)) return isa;
    throw Error(ErrorCode::INVALID_ARGUMENT, std::string("HEADSPARK_ISA is '") + value +
                                                 "', which does not run here; use '" +
                                                 isa_name(best) + "' or lower.");
  }
  throw Error(ErrorCode::INVALID_ARGUMENT,
              std::string("HEADSPARK_ISA is '") + value + "'; use " + level_list() + ".");
}

}  // namespace headspark
