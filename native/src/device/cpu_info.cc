// The processor, its cores, and how much thread and memory this process may use.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>
#include <utility>

#include "device/text_file.h"
#include "headspark/device.h"

namespace headspark {
namespace {

// The value behind "key :" in /proc/cpuinfo or /proc/meminfo, without leading blanks.
std::optional<std::string> field(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const std::size_t colon = line.find(':', key.size());
    if (colon == std::string::npos) continue;
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    if (start != std::string::npos) return line.substr(start);
  }
  return std::nullopt;
}

std::uint64_t meminfo_bytes(const std::string& key) {
  const auto text = field("/proc/meminfo", key);
  if (!text) return 0;
  return parse_number(text->substr(0, text->find(' '))).value_or(0) * 1024;
}

int count_physical_cores(int logical_cpus) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> cores;
  for (int cpu = 0; cpu < logical_cpus; ++cpu) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    const auto package = read_number(folder + "physical_package_id");
    const auto core = read_number(folder + "core_id");
    if (core) cores.insert({package.value_or(0), *core});
  }
  return cores.empty() ? logical_cpus : static_cast<int>(cores.size());
}

int affinity_threads(int logical_cpus) {
#if defined(__linux__)
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof mask, &mask) == 0) return std::max(1, CPU_COUNT(&mask));
#endif
  return logical_cpus;
}

int usable_threads(int logical_cpus, const CgroupLimits& cgroup) {
  int threads = affinity_threads(logical_cpus);
  if (cgroup.cpus) threads = std::min(threads, std::max(1, static_cast<int>(*cgroup.cpus + 0.5)));
  return threads;
}

void fill_memory(DeviceInfo& info) {
  const auto pages = sysconf(_SC_PHYS_PAGES);
  const auto page_bytes = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_bytes > 0) {
    info.memory_total_bytes =
        static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
  }
  const std::uint64_t available = meminfo_bytes("MemAvailable");
  info.memory_available_bytes = available > 0 ? available : info.memory_total_bytes;
  if (info.cgroup.memory_bytes) {
    const std::uint64_t limit = *info.cgroup.memory_bytes;
    const std::uint64_t used = std::min(limit, info.cgroup.memory_used_bytes.value_or(0));
    info.memory_available_bytes = std::min(info.memory_available_bytes, limit - used);
  }
}

const char* architecture() {
#if defined(__x86_64__)
  return "x86_64";
#elif defined(__aarch64__)
  return "aarch64";
#else
  return "other";
#endif
}

/// Arm processors have numbers in place of a name, as the Arm reference manual lists them
/// (MIDR_EL1).
std::string cpu_name() {
  constexpr const char* file = "/proc/cpuinfo";
  if (const auto name = field(file, "model name")) return *name;
  const auto implementer = field(file, "CPU implementer");
  const auto part = field(file, "CPU part");
  if (!implementer || !part) return "unknown processor";
  return "Arm processor, implementer " + *implementer + ", part " + *part;
}

}  // namespace

DeviceInfo device_info() {
  DeviceInfo info;
  info.cpu_name = cpu_name();
  info.architecture = architecture();
  info.features = cpu_features();
  info.isa = default_isa();
  info.logical_cpus = std::max(1u, std::thread::hardware_concurrency());
  const auto online = sysconf(_SC_NPROCESSORS_ONLN);
  if (online > 0) info.logical_cpus = static_cast<int>(online);
  info.physical_cores = count_physical_cores(info.logical_cpus);
  info.cgroup = cgroup_limits();
  info.usable_threads = usable_threads(info.logical_cpus, info.cgroup);
  fill_memory(info);
  return info;
}

int default_threads() {
  const char* value = std::getenv("HEADSPARK_THREADS");
  if (value != nullptr && *value != '\0') {
    const auto threads = parse_number(value);
    if (threads && *threads >= 1 && *threads <= 1024) return static_cast<int>(*threads);
    throw Error(ErrorCode::INVALID_ARGUMENT,
                std::string("HEADSPARK_THREADS is '") + value + "'; use a number from 1 to 1024.");
  }
  const auto online = sysconf(_SC_NPROCESSORS_ONLN);
  return usable_threads(online > 0 ? static_cast<int>(online) : 1, cgroup_limits());
}

}  // namespace headspark
