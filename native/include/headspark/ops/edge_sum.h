// What a destination reads in a circuit: the reference's stream plus, for every circuit edge, how
// far the circuit's write differs from the reference's.
#pragma once

#include <cstdint>
#include <span>

#include "headspark/context.h"

namespace headspark {

struct EdgeSum {
  std::int64_t sources = 0;
  std::int64_t destinations = 0;
  std::int64_t length = 0;  ///< tokens * width
  /// Distinct tokens that are summed alone; the arrays hold the others too. Null: all tokens.
  const std::int32_t* index = nullptr;  ///< [length / width]
  std::int64_t width = 0;               ///< of a token; read with an index only
  const std::uint8_t* mask = nullptr;   ///< [sources, destinations] of 0 and 1, stride mask_stride
  std::int64_t mask_stride = 0;
  const float* difference = nullptr;  ///< [sources, length], stride difference_stride
  std::int64_t difference_stride = 0;
  const float* base = nullptr;  ///< [length]; null: y is added to
  float* y = nullptr;           ///< [destinations, length], stride y_stride
  std::int64_t y_stride = 0;
};

/// y[v] = base + sum over u in order with mask[u, v] of difference[u]. Several sums write different
/// y; neighbours of one difference, difference_stride, length and index read it once.
void edge_sum(const Context& context, std::span<const EdgeSum> sums);
inline void edge_sum(const Context& context, const EdgeSum& params) {
  edge_sum(context, std::span(&params, 1));
}

}  // namespace headspark
