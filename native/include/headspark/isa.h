// Levels of CPU kernels, and how precisely matrix products run. `specification` runs the readable
// ops; the others are one dispatch table.
#pragma once

#include <span>

namespace headspark {

/// Lowest first; each level's machine also has the ones before. `amx_emulated` and
/// `amx_fp16_emulated` are the AMX levels with software tiles: slow, for tests, run everywhere.
enum class Isa {
  specification,
  portable,
  avx2,
  avx512,
  avx512_bf16,
  amx,
  amx_fp16,
  amx_emulated,
  amx_fp16_emulated
};

/// All levels, in that order.
std::span<const Isa> isa_levels() noexcept;

const char* isa_name(Isa isa) noexcept;

/// `exact`: fp32-faithful (fp32 arithmetic, or bf16 or fp16 terms that hold its bits). `fast`: one
/// bf16 term per operand with fp32 accumulation, on levels that have bf16 instructions.
enum class Precision { exact, fast };

const char* precision_name(Precision precision) noexcept;

/// The best kernels this build has for this processor, or what HEADSPARK_ISA (specification,
/// portable, avx2, avx512, avx512_bf16, amx, amx_fp16, amx_emulated, amx_fp16_emulated) names;
/// Error(INVALID_ARGUMENT) if that is unknown or above what the machine has. Defined in
/// src/device/isa.cc.
Isa default_isa();

/// The best kernels this build has for this processor, whatever the environment says.
Isa machine_isa();

/// The best level of processor kernels that isa_runs_here, announced or not.
Isa best_running_isa();

/// Whether this machine can run a level. For amx_fp16 an instruction is tried where the processor
/// does not announce it: virtual machines hide it from CPUID though it runs (so that they can move
/// to older processors, which is why it is not chosen by itself there).
bool isa_runs_here(Isa isa);

}  // namespace headspark
