// Asks for lines that are needed soon, a few at a time, so that the wait for L3 or DRAM hides
// behind the work between. All of it is static: each level keeps the copy that was compiled with
// its flags.
#pragma once

#include "cpu/kernel_table.h"

namespace headspark {

/// Pieces that are read side by side. One piece after the other would leave the memory idle: the
/// processor's prefetcher runs at most 20 lines ahead of each, which at one piece is less than
/// DRAM's latency times its rate.
constexpr std::int64_t kFetchStreams = 8;

/// Lines in each of `steps` equal shares of what is left.
static inline std::int64_t fetch_share(const Fetch& next, std::int64_t steps) {
  if (steps <= 0 || next.bytes <= 0) return 0;
  return ((next.bytes + 63) / 64 * next.count + steps - 1) / steps;
}

/// Asks for about `lines` lines, whole rounds over the streams; what is asked for too much now is
/// left out of the next calls.
static inline void fetch_lines(Fetch& next, std::int64_t lines) {
  next.owed += lines;
  while (next.owed > 0 && next.count > 0) {
    const std::int64_t streams = next.count < kFetchStreams ? next.count : kFetchStreams;
    const char* at = static_cast<const char*>(next.at) + next.asked;
    for (std::int64_t i = 0; i < streams; ++i, at += next.stride) __builtin_prefetch(at, 0, 2);
    next.owed -= streams;
    next.asked += 64;
    if (next.asked < next.bytes) continue;
    next.asked = 0;
    next.at = static_cast<const char*>(next.at) + streams * next.stride;
    next.count -= streams;
  }
}

/// Lines of what is left of some pages.
static inline std::int64_t page_lines(const PageFetch& next) {
  if (next.count == 0) return 0;
  return ((next.count - 1) * next.bytes + next.last_bytes + 63) / 64;
}

/// As fetch_lines, one page after the other, each as one stream: pieces of a page side by side were
/// slower, since the processor's prefetcher has just begun when one ends.
static inline void fetch_pages(PageFetch& next, std::int64_t lines) {
  next.owed += lines;
  while (next.owed > 0 && next.count > 0) {
    const auto* page = reinterpret_cast<const char*>(next.pages[0] + next.offset);
    const std::int64_t bytes = next.count > 1 ? next.bytes : next.last_bytes;
    __builtin_prefetch(page + next.asked, 0, 2);
    --next.owed;
    next.asked += 64;
    if (next.asked < bytes) continue;
    next.asked = 0;
    ++next.pages;
    --next.count;
  }
}

}  // namespace headspark
