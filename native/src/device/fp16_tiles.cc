// Tries the product of fp16 tiles, which some virtual machines run without announcing it.
#include <cstdint>

#include "device/trial.h"
#include "headspark/device.h"

namespace headspark {
namespace {

#if defined(__x86_64__) && defined(__linux__)

void multiply_tiles() {
  struct alignas(64) Config {
    std::uint8_t palette = 1;
    std::uint8_t rest[15] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16};
  } config;
  static_assert(sizeof(Config) == 64);
  __asm__ volatile(
      "ldtilecfg %0\n\t"
      "tilezero %%tmm0\n\t"
      "tilezero %%tmm1\n\t"
      "tilezero %%tmm2\n\t"
      // TDPFP16PS tmm0, tmm1, tmm2, whose name old assemblers do not know.
      ".byte 0xc4, 0xe2, 0x6b, 0x5c, 0xc1"
      :
      : "m"(config)
      : "memory");
}

bool try_tiles() {
  const bool run = runs_here(multiply_tiles);
  __asm__ volatile("tilerelease");
  return run;
}

#else

bool try_tiles() {
  return false;
}

#endif

}  // namespace

bool fp16_tiles_run() {
  if (!cpu_features().amx_tile) return false;
  static const bool run = cpu_features().amx_fp16 || try_tiles();
  return run;
}

}  // namespace headspark
