// Timing, errors, random operands and peak memory.
#include "common/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <string>

namespace headspark::bench {

Timing summarize(std::vector<double> seconds) {
  if (seconds.empty()) return {};
  std::sort(seconds.begin(), seconds.end());
  const std::size_t middle = seconds.size() / 2;
  const double median =
      seconds.size() % 2 != 0 ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2;
  return {median, seconds.front(), seconds.back(), static_cast<int>(seconds.size())};
}

std::vector<Timing> time_interleaved(std::span<const std::function<void()>> alternatives,
                                     const Budget& budget) {
  using Clock = std::chrono::steady_clock;
  std::vector<std::vector<double>> seconds(alternatives.size());
  const auto start = Clock::now();
  const auto spent = [&] {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  for (int round = 0; round < budget.rounds || spent() < budget.milliseconds; ++round) {
    for (std::size_t i = 0; i < alternatives.size(); ++i) {
      const auto before = Clock::now();
      alternatives[i]();
      seconds[i].push_back(std::chrono::duration<double>(Clock::now() - before).count());
    }
  }
  std::vector<Timing> timings;
  for (std::vector<double>& runs : seconds) timings.push_back(summarize(std::move(runs)));
  return timings;
}

std::vector<float> noise(std::int64_t count) {
  static std::uint64_t state = 1;
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    value = static_cast<float>(state >> 40) * 0x1p-23f - 1.0f;
  }
  return values;
}

double relative_error(std::span<const float> got, std::span<const float> expected) {
  double largest = 0.0;
  double worst = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
    const double diff = std::fabs(static_cast<double>(got[i]) - expected[i]);
    if (!(diff <= worst)) worst = diff;
  }
  return worst == 0.0 ? 0.0 : worst / largest;
}

bool reset_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5";  // proc(5): resets the peak resident set size to the current value
  file.close();
  return !file.fail();
}

std::int64_t peak_memory_bytes() {
  std::ifstream file("/proc/self/status");
  std::string key;
  while (file >> key) {
    std::int64_t kilobytes = 0;
    if (key == "VmHWM:" && file >> kilobytes) return kilobytes * 1024;
    file.ignore(4096, '\n');
  }
  return 0;
}

}  // namespace headspark::bench
