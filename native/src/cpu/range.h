// How the drivers cut rows, columns, panels and depths.
#pragma once

#include <algorithm>
#include <cstdint>

namespace headspark {

inline std::int64_t ceil_divide(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

inline std::int64_t round_down(std::int64_t x, std::int64_t unit) {
  return x / unit * unit;
}

inline std::int64_t round_up(std::int64_t x, std::int64_t unit) {
  return (x + unit - 1) / unit * unit;
}

/// A range of panels, columns, depths or positions.
struct Range {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t count() const { return end - begin; }
};

/// The part of a range in a chunk of `size` that begins at `at`, counted from there.
inline Range in_chunk(const Range& range, std::int64_t at, std::int64_t size) {
  return {std::clamp<std::int64_t>(range.begin - at, 0, size),
          std::clamp<std::int64_t>(range.end - at, 0, size)};
}

/// Cuts 0 .. total into ranges of `size`, the last one shorter.
template <typename Body>
void for_ranges(std::int64_t total, std::int64_t size, const Body& body) {
  for (std::int64_t at = 0; at < total; at += size) body(Range{at, std::min(at + size, total)});
}

}  // namespace headspark
