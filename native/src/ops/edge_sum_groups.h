// Which sums of edges read the same differences, and may read them together.
#pragma once

#include <span>

#include "headspark/ops/edge_sum.h"

namespace headspark {

inline bool same_differences(const EdgeSum& a, const EdgeSum& b) {
  return a.difference == b.difference && a.difference_stride == b.difference_stride &&
         a.length == b.length && a.index == b.index && (a.index == nullptr || a.width == b.width);
}

/// Calls work with each run of neighbours that read the same differences, in order.
template <typename Work>
void for_same_differences(std::span<const EdgeSum> sums, const Work& work) {
  for (std::size_t begin = 0; begin < sums.size();) {
    std::size_t end = begin + 1;
    while (end < sums.size() && same_differences(sums[begin], sums[end])) ++end;
    work(sums.subspan(begin, end - begin));
    begin = end;
  }
}

}  // namespace headspark
