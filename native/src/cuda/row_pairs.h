// Two neighbouring elements of a row at once, as lanes have them that hold pieces of a product.
#pragma once

#include "cuda/bf16_terms.h"

namespace headspark::cuda {

/// Elements i, which is even, and i + 1; what lies past the row's width is zero. `two`: the width
/// is even, and the row aligned to two elements.
template <typename Index>
HEADSPARK_DEVICE Two read_row_pair(const float* row, Index i, std::int64_t width, bool two) {
  if (i >= width) return {0.0f, 0.0f};
  if (two) return load_two(row + i);
  return {row[i], i + 1 < width ? row[i + 1] : 0.0f};
}

/// The same of bf16.
template <typename Index>
HEADSPARK_DEVICE Two read_row_pair(const std::uint16_t* row, Index i, std::int64_t width,
                                   bool two) {
  if (i >= width) return {0.0f, 0.0f};
  if (two) {
    const std::uint32_t pair = *reinterpret_cast<const std::uint32_t*>(row + i);
    return {low_half(pair), high_half(pair)};
  }
  return {bf16_to_float({row[i]}), i + 1 < width ? bf16_to_float({row[i + 1]}) : 0.0f};
}

template <typename Index>
HEADSPARK_DEVICE void write_row_pair(float* row, Index i, std::int64_t width, bool two,
                                     const Two& pair) {
  if (i >= width) return;
  if (two) return store_two(row + i, pair);
  row[i] = pair.x;
  if (i + 1 < width) row[i + 1] = pair.y;
}

/// The same, rounded to bf16.
template <typename Index>
HEADSPARK_DEVICE void write_row_pair(std::uint16_t* row, Index i, std::int64_t width, bool two,
                                     const Two& pair) {
  if (i >= width) return;
  const std::uint32_t bits = pack_bf16(pair.x, pair.y);
  if (two) {
    *reinterpret_cast<std::uint32_t*>(row + i) = bits;
    return;
  }
  row[i] = static_cast<std::uint16_t>(bits);
  if (i + 1 < width) row[i + 1] = static_cast<std::uint16_t>(bits >> 16);
}

}  // namespace headspark::cuda
