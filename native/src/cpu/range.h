// How the drivers cut rows, columns, panels and depths.
#pragma once

#include <algorithm>
#include <cstdint>

namespace headspark {

inline std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

/// A range of panels, columns or depths.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t count() const { return end - begin; }
};

/// Cuts 0 .. total into ranges of `size`, the last one shorter.
template <typename Body>
void for_ranges(std::int64_t total, std::int64_t size, const Body& body) {
  for (std::int64_t at = 0; at < total; at += size) body(Range{at, std::min(at + size, total)});
}

}  // namespace headspark
