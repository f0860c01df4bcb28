// CPU quota and memory limit of the control group this process runs in. Limits of the parents bind
// too, so every level from the process's group up to the mount is read and the tightest one wins.
#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

#include "device/text_file.h"
#include "headspark/device.h"

namespace headspark {
namespace {

// Version 1 writes "unlimited" as a page-rounded maximum of a signed 64-bit number.
constexpr std::uint64_t unlimited_from = std::uint64_t{1} << 62;

template <typename T>
void tighten(std::optional<T>& limit, std::optional<T> candidate) {
  if (candidate && (!limit || *candidate < *limit)) limit = candidate;
}

// The group of this process: for version 2 the line "0::/path", for version 1
// "5:cpu,cpuacct:/path".
std::optional<std::string> group_path(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool matches = controller.empty()
                             ? names == ",,"
                             : names.find("," + controller + ",") != std::string::npos;
    if (matches) return line.substr(second + 1);
  }
  return std::nullopt;
}

// Calls read(folder) for the group's folder and each of its parents. Inside a container the path
// may not exist below the mount; the mount itself is then the group.
template <typename Read>
void for_each_level(const std::string& mount, std::string path, Read read) {
  while (!path.empty() && path != "/") {
    read(mount + path);
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
  }
  read(mount);
}

std::optional<double> quota_v2(const std::string& folder) {
  const auto line = read_line(folder + "/cpu.max");
  if (!line) return std::nullopt;
  std::istringstream words(*line);
  std::string quota;
  std::string period;
  words >> quota >> period;
  const auto quota_us = parse_number(quota);
  const auto period_us = parse_number(period);
  if (!quota_us || !period_us || *period_us == 0) return std::nullopt;
  return static_cast<double>(*quota_us) / static_cast<double>(*period_us);
}

std::optional<double> quota_v1(const std::string& folder) {
  const auto quota_us = read_number(folder + "/cpu.cfs_quota_us");
  const auto period_us = read_number(folder + "/cpu.cfs_period_us");
  if (!quota_us || !period_us || *period_us == 0) return std::nullopt;
  return static_cast<double>(*quota_us) / static_cast<double>(*period_us);
}

void read_memory(CgroupLimits& limits, const std::string& folder, const char* limit_file,
                 const char* usage_file) {
  const auto limit = read_number(folder + limit_file);
  if (!limit || *limit >= unlimited_from) return;
  if (limits.memory_bytes && *limits.memory_bytes <= *limit) return;
  limits.memory_bytes = limit;
  limits.memory_used_bytes = read_number(folder + usage_file);
}

void read_v2(CgroupLimits& limits, const std::string& root, const std::string& path) {
  for_each_level(root + "/sys/fs/cgroup", path, [&](const std::string& folder) {
    tighten(limits.cpus, quota_v2(folder));
    read_memory(limits, folder, "/memory.max", "/memory.current");
  });
}

void read_v1(CgroupLimits& limits, const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  if (const auto path = group_path(root, "cpu")) {
    for_each_level(mount + "/cpu", *path,
                   [&](const std::string& folder) { tighten(limits.cpus, quota_v1(folder)); });
  }
  if (const auto path = group_path(root, "memory")) {
    for_each_level(mount + "/memory", *path, [&](const std::string& folder) {
      read_memory(limits, folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes");
    });
  }
}

}  // namespace

CgroupLimits cgroup_limits(const std::string& root) {
  CgroupLimits limits;
  if (const auto path = group_path(root, "")) read_v2(limits, root, *path);
  read_v1(limits, root);
  return limits;
}

}  // namespace headspark
