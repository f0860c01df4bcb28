// Tries the product of fp16 tiles, which some virtual machines run without announcing it.
#include "headspark/device.h"

#if defined(__x86_64__) && defined(__linux__)

#include <setjmp.h>
#include <signal.h>

#include <cstdint>

namespace headspark {
namespace {

sigjmp_buf behind_trial;
thread_local bool trying = false;

extern "C" void on_illegal_instruction(int signal) {
  if (trying) siglongjmp(behind_trial, 1);
  // Another thread's: it gets what it would have got.
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
}

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

bool try_once() {
  struct sigaction trial = {};
  struct sigaction before = {};
  trial.sa_handler = on_illegal_instruction;
  if (sigaction(SIGILL, &trial, &before) != 0) return false;
  trying = true;
  bool runs = false;
  if (sigsetjmp(behind_trial, 1) == 0) {
    multiply_tiles();
    runs = true;
  }
  __asm__ volatile("tilerelease");
  trying = false;
  sigaction(SIGILL, &before, nullptr);
  return runs;
}

}  // namespace

bool fp16_tiles_run() {
  if (!cpu_features().amx_tile) return false;
  static const bool runs = cpu_features().amx_fp16 || try_once();
  return runs;
}

}  // namespace headspark

#else

namespace headspark {

bool fp16_tiles_run() {
  return cpu_features().amx_fp16;
}

}  // namespace headspark

#endif
