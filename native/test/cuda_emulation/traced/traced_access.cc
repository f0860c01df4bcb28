// Where kernels are compiled with -fsanitize=thread, the compiler announces each of their accesses:
// these functions take the sanitizer's place and pass them on: to the counts, which are written to
// the file that HEADSPARK_DEVICE_COUNTS names when the program ends, or else to the shadow of
// device memory, which ends a launch that races.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cuda_emulation/access_counts.h"
#include "cuda_emulation/device_shadow.h"
#include "cuda_emulation/program_address.h"

// Of the linker: where the program begins and ends in memory.
extern "C" const char __executable_start;
extern "C" const char _end;

namespace headspark::cuda_emulation {
namespace {

class Tracing {
 public:
  Tracing() : path_(std::getenv("HEADSPARK_DEVICE_COUNTS")) {
    if (path_ != nullptr) {
      set_observer(&counts_);
    } else {
      set_observer(&shadow_);
    }
  }
  ~Tracing() {
    set_observer(nullptr);
    if (path_ == nullptr) return;
    nlohmann::json kernels = nlohmann::json::array();
    for (const auto& [kernel, counts] : counts_.kernels()) {
      nlohmann::json sites = nlohmann::json::array();
      for (const auto& [site, of_site] : counts.sites) {
        sites.push_back({{"caller", in_program(site.caller)},
                         {"shared", site.shared},
                         {"write", site.write},
                         {"warps", of_site.warps},
                         {"lanes", of_site.lanes},
                         {"bytes", of_site.bytes},
                         {"units", of_site.units},
                         {"needed", of_site.needed}});
      }
      kernels.push_back({{"kernel", in_program(kernel)},
                         {"launches", counts.launches},
                         {"blocks", counts.blocks},
                         {"sharedBytes", counts.shared_bytes},
                         {"products", counts.products},
                         {"blockSectors", counts.block_sectors},
                         {"launchSectors", counts.launch_sectors},
                         {"sites", std::move(sites)}});
    }
    std::ofstream(path_) << kernels.dump(1) << "\n";
  }

 private:
  const char* path_;
  AccessCounts counts_;
  DeviceShadow shadow_;
};

const Tracing tracing;

/// Static memory of the program, which a GPU does not see: neither arrays of tests nor constants of
/// kernels may lie there.
bool in_image(const void* address) {
  return address >= &__executable_start && address < &_end;
}

void pass_on(const void* address, std::size_t bytes, bool write, const void* caller) {
  if (observer() == nullptr || !Block::runs()) return;
  if (in_image(address)) {
    std::fprintf(stderr, "A kernel reaches static memory of the program (%s).\n",
                 in_program(caller).c_str());
    std::abort();
  }
  observer()->access(Block::current().thread(), address, bytes, write, caller);
}

}  // namespace
}  // namespace headspark::cuda_emulation

#define HEADSPARK_TRACED(name, bytes, write)                                                \
  void __tsan_##name(void* address) {                                                       \
    headspark::cuda_emulation::pass_on(address, bytes, write, __builtin_return_address(0)); \
  }

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
// Of the host's half of these files; kernels have no atomics.
int __tsan_atomic32_fetch_add(volatile int* at, int value, int) {
  return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);
}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
HEADSPARK_TRACED(read1, 1, false)
HEADSPARK_TRACED(read2, 2, false)
HEADSPARK_TRACED(read4, 4, false)
HEADSPARK_TRACED(read8, 8, false)
HEADSPARK_TRACED(read16, 16, false)
HEADSPARK_TRACED(write1, 1, true)
HEADSPARK_TRACED(write2, 2, true)
HEADSPARK_TRACED(write4, 4, true)
HEADSPARK_TRACED(write8, 8, true)
HEADSPARK_TRACED(write16, 16, true)
void __tsan_read_range(void* address, std::size_t bytes) {
  headspark::cuda_emulation::pass_on(address, bytes, false, __builtin_return_address(0));
}
void __tsan_write_range(void* address, std::size_t bytes) {
  headspark::cuda_emulation::pass_on(address, bytes, true, __builtin_return_address(0));
}
}
