// The bf16 peak of this machine's matrix instructions: a loop on registers only, as measure_peak
// has one for fp32 multiply-adds.
#pragma once

#include "headspark/context.h"

namespace headspark::bench {

struct Bf16Peak {
  const char* instruction = "";  // "TDPBF16PS" (AMX), "VDPBF16PS" (AVX-512), or empty: neither
  double gflops = 0;             // sum of the threads' best bursts, 2 operations per multiply-add
};

/// Runs the best bf16 instruction that the machine has for about `milliseconds` on the context's
/// threads.
Bf16Peak measure_bf16_peak(const Context& context, double milliseconds);

}  // namespace headspark::bench
