// What this machine offers: processor features, the threads and memory this process may use
// (containers included), GPUs, and measured peaks. Everything is read when asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "headspark/isa.h"
#include "headspark/run_control.h"

namespace headspark {

// A flag is set only when the processor has the instructions and the system saves their registers.
struct CpuFeatures {
  bool intel = false;  ///< the vendor
  bool avx2 = false;
  bool fma = false;
  bool f16c = false;
  bool avx512f = false;
  bool avx512bw = false;
  bool avx512vl = false;
  bool avx512dq = false;
  bool avx512_bf16 = false;
  bool amx_tile = false;
  bool amx_bf16 = false;
  bool amx_fp16 = false;
};

const CpuFeatures& cpu_features();  // probed once

/// Whether the product of fp16 tiles runs on this processor, by trying one. Only where amx_tile is
/// set: the trial is for processors whose announcement is hidden.
bool fp16_tiles_run();

struct CgroupLimits {
  std::optional<double> cpus;                 // quota / period; absent: unlimited
  std::optional<std::uint64_t> memory_bytes;  // absent: unlimited
  std::optional<std::uint64_t> memory_used_bytes;
};

// Reads cgroup v2, else v1, of this process. `root` stands for "/" and is there for tests.
CgroupLimits cgroup_limits(const std::string& root = "");

struct DeviceInfo {
  std::string cpu_name;
  std::string architecture;  // "x86_64", "aarch64", …
  CpuFeatures features;
  Isa isa = Isa::portable;
  int logical_cpus = 1;    // online in the machine
  int physical_cores = 1;  // distinct (package, core) pairs
  int usable_threads = 1;  // min of affinity mask and cgroup quota, at least 1
  std::uint64_t memory_total_bytes = 0;
  std::uint64_t memory_available_bytes = 0;  // what may still be allocated, cgroup limit included
  CgroupLimits cgroup;
};

DeviceInfo device_info();

// How many threads a computation uses when it is not told: usable_threads, or HEADSPARK_THREADS.
int default_threads();

struct GpuInfo {
  int index = 0;
  std::string name;
  int compute_major = 0;
  int compute_minor = 0;
  std::uint64_t memory_total_bytes = 0;
  std::uint64_t memory_free_bytes = 0;  // 0 where it was not asked for
  std::string problem;  // one sentence on why nothing can be computed on it; empty: it is usable
};

struct GpuProbe {
  std::vector<GpuInfo> gpus;
  std::string status;     // one sentence for people: what was found, or why there is nothing
  std::string cublas_lt;  // path of the library that was opened; empty: none
  std::string products;   // one sentence: what computes matrix products; empty without GPUs
};

/// With free_memory each device is entered, which takes some of its memory, and time, until the
/// process ends.
GpuProbe probe_gpus(bool free_memory = false);

struct PeakOptions {
  int threads = 0;         // 0: default_threads()
  int milliseconds = 500;  // for each of the two measurements; 1 … 60000
  std::uint64_t copy_bytes = std::uint64_t{64}
                             << 20;  // per thread; well past the last-level cache's share
};

struct PeakResult {
  int threads = 0;
  Isa isa = Isa::portable;
  double fma_gflops = 0;     // fp32, 2 operations per fused multiply-add
  double copy_gb_per_s = 0;  // bytes read plus bytes written, 1e9 per second
};

// Measures what this machine can reach, on `threads` threads at once. Throws CANCELLED.
PeakResult measure_peak(const PeakOptions& options, const RunControl& control);

}  // namespace headspark
