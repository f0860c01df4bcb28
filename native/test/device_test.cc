// What the machine is said to offer: control-group limits read from made-up trees, instruction-set
// names, and the peak measurement's option checks and cancellation.
#include "headspark/device.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "device/trial.h"

namespace headspark {
namespace {

namespace fs = std::filesystem;

void no_instruction() {
#if defined(__x86_64__)
  __asm__ volatile("ud2");
#else
  std::raise(SIGILL);
#endif
}

// A folder that stands for "/" while a test lives.
class FakeRoot {
 public:
  FakeRoot() : path_(fs::temp_directory_path() / ("headspark-root-" + std::to_string(getpid()))) {
    fs::remove_all(path_);
  }
  ~FakeRoot() { fs::remove_all(path_); }

  void write(const std::string& file, const std::string& text) const {
    const fs::path target = path_ / file;
    fs::create_directories(target.parent_path());
    std::ofstream(target) << text;
  }
  CgroupLimits limits() const { return cgroup_limits(path_.string()); }

 private:
  fs::path path_;
};

TEST_CASE("cgroup v2: the tightest limit of the group and its parents counts") {
  const FakeRoot root;
  root.write("proc/self/cgroup", "0::/pod/app\n");
  root.write("sys/fs/cgroup/pod/app/cpu.max", "max 100000\n");
  root.write("sys/fs/cgroup/pod/cpu.max", "150000 100000\n");
  root.write("sys/fs/cgroup/pod/app/memory.max", "2000\n");
  root.write("sys/fs/cgroup/pod/app/memory.current", "500\n");
  root.write("sys/fs/cgroup/pod/memory.max", "9000\n");
  const CgroupLimits limits = root.limits();
  REQUIRE(limits.cpus.has_value());
  CHECK(*limits.cpus == doctest::Approx(1.5));
  CHECK(limits.memory_bytes == std::uint64_t{2000});
  CHECK(limits.memory_used_bytes == std::uint64_t{500});
}

TEST_CASE("cgroup v2 in a container: the group's path is absent, the mount is the group") {
  const FakeRoot root;
  root.write("proc/self/cgroup", "0::/../somewhere/else\n");
  root.write("sys/fs/cgroup/cpu.max", "50000 100000\n");
  root.write("sys/fs/cgroup/memory.max", "max\n");
  const CgroupLimits limits = root.limits();
  REQUIRE(limits.cpus.has_value());
  CHECK(*limits.cpus == doctest::Approx(0.5));
  CHECK_FALSE(limits.memory_bytes.has_value());
}

TEST_CASE("cgroup v1: quota and limit by controller, -1 and the page-rounded maximum are none") {
  const FakeRoot root;
  root.write("proc/self/cgroup", "5:cpu,cpuacct:/job\n3:memory:/job\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "400000\n");
  root.write("sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
  root.write("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  root.write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
  const CgroupLimits limits = root.limits();
  REQUIRE(limits.cpus.has_value());
  CHECK(*limits.cpus == doctest::Approx(4.0));
  CHECK_FALSE(limits.memory_bytes.has_value());
}

TEST_CASE("cgroup: missing, empty and odd files give no limit") {
  const FakeRoot root;
  CHECK_FALSE(root.limits().cpus.has_value());
  root.write("proc/self/cgroup", "nonsense\n0:\n0::/a\n");
  root.write("sys/fs/cgroup/a/cpu.max", "12x 0\n");
  root.write("sys/fs/cgroup/cpu.max", "");
  root.write("sys/fs/cgroup/a/memory.max", "-5\n");
  CHECK_FALSE(root.limits().cpus.has_value());
  CHECK_FALSE(root.limits().memory_bytes.has_value());
}

TEST_CASE("device_info is consistent with itself") {
  const DeviceInfo info = device_info();
  CHECK(info.usable_threads >= 1);
  CHECK(info.usable_threads <= info.logical_cpus);
  CHECK(info.memory_available_bytes <= info.memory_total_bytes);
  CHECK(std::string(isa_name(info.isa)) != "");
  if (info.isa >= Isa::avx2) CHECK(info.features.avx2);
  if (info.isa >= Isa::avx512) CHECK(info.features.avx512f);
}

TEST_CASE("measure_peak checks its options") {
  const auto code_of = [](const PeakOptions& options) {
    try {
      measure_peak(options, {});
    } catch (const Error& error) {
      return std::string(error_code_name(error.code()));
    }
    return std::string("no error");
  };
  CHECK(code_of({.threads = -1}) == "ERR_HEADSPARK_INVALID_ARGUMENT");
  CHECK(code_of({.milliseconds = 0}) == "ERR_HEADSPARK_INVALID_ARGUMENT");
  CHECK(code_of({.copy_bytes = 1}) == "ERR_HEADSPARK_INVALID_ARGUMENT");
}

TEST_CASE("measure_peak measures, reports to the end of both phases, and stops when told") {
  const PeakOptions options{.threads = 2, .milliseconds = 20, .copy_bytes = 1 << 20};
  Progress last;
  RunControl control;
  control.progress_hook = [&](const Progress& progress) { last = progress; };
  const PeakResult peak = measure_peak(options, control);
  CHECK(peak.threads == 2);
  CHECK(peak.fma_gflops > 0);
  CHECK(peak.copy_gb_per_s > 0);
  CHECK(last.phase == "copy");
  CHECK(last.done == 20);

  std::atomic<int> polls{0};
  control.stop_hook = [&] { return ++polls > 1; };
  CHECK_THROWS_AS(measure_peak(options, control), Error);
}

}  // namespace
// .ci/run asks this case which levels it can run the engine on.
TEST_CASE("instructions are tried without harm, and the signal goes where it went before") {
  struct sigaction before = {};
  sigaction(SIGILL, nullptr, &before);
  for (int i = 0; i < 2; ++i) {
    CHECK(runs_here([] {}));
    CHECK_FALSE(runs_here(no_instruction));
  }
  struct sigaction after = {};
  sigaction(SIGILL, nullptr, &after);
  const bool same = after.sa_handler == before.sa_handler;
  CHECK(same);
  if (cpu_features().amx_fp16) CHECK(fp16_tiles_run());
  CHECK(isa_runs_here(Isa::amx_fp16) == (best_running_isa() == Isa::amx_fp16));
}

TEST_CASE("the level that HEADSPARK_ISA names runs here") {
  CHECK(isa_runs_here(default_isa()));
}

}  // namespace headspark
