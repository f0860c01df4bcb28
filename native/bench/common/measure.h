// Timing, errors, random operands and peak memory: what every benchmark needs.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace headspark::bench {

struct Timing {
  double median = 0, least = 0, most = 0;  // seconds
  int runs = 0;
};

struct Budget {
  double milliseconds = 500;  // least time spent, over all alternatives
  int rounds = 5;             // least runs of each alternative
};

Timing summarize(std::vector<double> seconds);

/// Runs the alternatives in turn (A B A B …), so that drift of the machine meets all of them alike.
/// Nothing is warmed up. One timing per alternative, in order.
std::vector<Timing> time_interleaved(std::span<const std::function<void()>> alternatives,
                                     const Budget& budget);

/// Uniform in [-1, 1), the same values in every run of a program.
std::vector<float> noise(std::int64_t count);

/// Largest |got - expected| over the values of `expected`, relative to the largest |expected|;
/// NaN in `got` makes it NaN.
double relative_error(std::span<const float> got, std::span<const float> expected);

/// Linux: lets the process's peak of resident memory start again from what is resident now. Returns
/// false where that is not possible.
bool reset_peak_memory();

/// The largest resident memory since the last reset, mapped weights included; 0 where unknown.
std::int64_t peak_memory_bytes();

}  // namespace headspark::bench
