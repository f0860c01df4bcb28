// Asks for lines that are needed soon, a few at a time, so that the wait for L3 or DRAM hides
// behind the work between. All of it is static: each level keeps the copy that was compiled with
// its flags.
#pragma once

#include "cpu/kernel_table.h"

namespace headspark {

/// Lines in each of `steps` equal shares of what is left.
static inline std::int64_t fetch_share(const Fetch& next, std::int64_t steps) {
  if (steps <= 0 || next.bytes <= 0) return 0;
  return ((next.bytes + 63) / 64 * next.count + steps - 1) / steps;
}

static inline void fetch_lines(Fetch& next, std::int64_t lines) {
  for (; lines > 0 && next.count > 0; --lines) {
    __builtin_prefetch(static_cast<const char*>(next.at) + next.asked, 0, 2);
    next.asked += 64;
    if (next.asked < next.bytes) continue;
    next.asked = 0;
    next.at = static_cast<const char*>(next.at) + next.stride;
    --next.count;
  }
}

}  // namespace headspark
