// Multiply-adds in plain C++: what the compiler makes of the baseline instruction set.
#include <array>

#include "device/peak_kernel.h"

namespace headspark {
namespace {

constexpr int lanes = 32;  // enough independent chains to hide the latency of 4-wide units

float burst(std::uint64_t rounds) {
  std::array<float, lanes> sums;
  for (int lane = 0; lane < lanes; ++lane) sums[lane] = static_cast<float>(lane);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    for (float& sum : sums) sum = sum * 0.999f + 0.001f;
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  return total;
}

}  // namespace

PeakKernel peak_portable() {
  return {burst, 2 * lanes};
}

}  // namespace headspark
