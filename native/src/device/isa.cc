// Names of the kernel levels and the choice of one.
#include "headspark/isa.h"

#include <cstdlib>
#include <string>

#include "headspark/device.h"
#include "headspark/error.h"

namespace headspark {
namespace {

constexpr Isa kLevels[] = {Isa::specification, Isa::portable, Isa::avx2, Isa::avx512, Isa::amx};

}  // namespace

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
    case Isa::amx:
      return "amx";
  }
  return "unknown";
}

// There are no AMX kernels yet, so machines with AMX stop at avx512.
Isa machine_isa() {
#if HEADSPARK_X86
  const CpuFeatures& f = cpu_features();
  const bool avx2 = f.avx2 && f.fma && f.f16c;
  if (avx2 && f.avx512f && f.avx512bw && f.avx512vl && f.avx512dq) return Isa::avx512;
  if (avx2) return Isa::avx2;
#endif
  return Isa::portable;
}

Isa default_isa() {
  const Isa best = machine_isa();
  const char* value = std::getenv("HEADSPARK_ISA");
  if (value == nullptr || *value == '\0') return best;
  for (const Isa isa : kLevels) {
    if (std::string(value) != isa_name(isa)) continue;
    if (isa <= best) return isa;
    throw Error(ErrorCode::INVALID_ARGUMENT, std::string("HEADSPARK_ISA is '") + value +
                                                 "', which does not run here; use '" +
                                                 isa_name(best) + "' or lower.");
  }
  throw Error(ErrorCode::INVALID_ARGUMENT,
              std::string("HEADSPARK_ISA is '") + value +
                  "'; use specification, portable, avx2, avx512 or amx.");
}

}  // namespace headspark
