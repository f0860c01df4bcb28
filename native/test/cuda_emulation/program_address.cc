// The program's base, from the dynamic loader.
#include "cuda_emulation/program_address.h"

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>

namespace headspark::cuda_emulation {

std::string in_program(const void* address) {
  Dl_info info = {};
  std::uintptr_t base = 0;
  if (dladdr(address, &info) != 0) base = reinterpret_cast<std::uintptr_t>(info.dli_fbase);
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx",
                static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(address) - base));
  return text;
}

}  // namespace headspark::cuda_emulation
