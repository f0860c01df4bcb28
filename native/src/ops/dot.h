// The dot product of the specifications.
#pragma once

#include <cstdint>

namespace headspark {

/// In double, in order.
inline double dot(const float* a, const float* b, std::int64_t count) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
  return sum;
}

}  // namespace headspark
