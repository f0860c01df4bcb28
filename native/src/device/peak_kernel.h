// One burst of independent fused multiply-adds per instruction set, for measure_peak.
#pragma once

#include <cstdint>

namespace headspark {

// Runs `rounds` rounds and returns a value that depends on all of them, so that nothing is removed.
using PeakBurst = float (*)(std::uint64_t rounds);

struct PeakKernel {
  PeakBurst burst;
  std::uint64_t operations_per_round;  // floating-point operations: 2 per lane and multiply-add
};

PeakKernel peak_portable();
PeakKernel peak_avx2();
PeakKernel peak_avx512();

}  // namespace headspark
