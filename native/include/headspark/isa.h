// Levels of CPU kernels. `specification` runs the readable ops; the others are one dispatch table.
#pragma once

namespace headspark {

/// Lowest first; each level's machine also has the ones before.
enum class Isa { specification, portable, avx2, avx512, amx };

const char* isa_name(Isa isa) noexcept;

/// The best kernels this build has for this processor, or what HEADSPARK_ISA (specification,
/// portable, avx2, avx512, amx) names; Error(INVALID_ARGUMENT) if that is unknown or above what the
/// machine has. Defined in src/device/isa.cc.
Isa default_isa();

/// The best kernels this build has for this processor, whatever the environment says.
Isa machine_isa();

}  // namespace headspark
