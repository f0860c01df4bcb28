// Eight neighbouring elements of a row at once, 16 bytes of bf16: so many that the loads under way
// fill the device's memory, and that finding the row costs little.
#pragma once

#include "cuda/alignment.h"
#include "cuda/bf16_terms.h"

namespace headspark::cuda {

struct Eight {
  float v[8];
};

/// Whether rows of this width are read eight elements at a time.
template <typename... Pointers>
bool reads_eight(std::int64_t width, const Pointers*... rows) {
  return width % 8 == 0 && (aligned_to(16, rows) && ...);
}

/// Elements from i, a multiple of 8, on; what lies past the row's width is zero. `whole`: rows are
/// as reads_eight says.
HEADSPARK_DEVICE Eight read_row_eight(const float* row, std::int64_t i, std::int64_t width,
                                      bool whole) {
  Eight eight;
  if (whole) {
    const Four low = load_four(row + i);
    const Four high = load_four(row + i + 4);
    return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
  }
  HEADSPARK_UNROLL
  for (int j = 0; j < 8; ++j) eight.v[j] = i + j < width ? row[i + j] : 0.0f;
  return eight;
}

/// The same of bf16.
HEADSPARK_DEVICE Eight read_row_eight(const std::uint16_t* row, std::int64_t i, std::int64_t width,
                                      bool whole) {
  Eight eight;
  if (whole) {
    const Four words = load_four(reinterpret_cast<const float*>(row + i));
    const std::uint32_t bits[4] = {float_to_bits(words.x), float_to_bits(words.y),
                                   float_to_bits(words.z), float_to_bits(words.w)};
    HEADSPARK_UNROLL
    for (int j = 0; j < 4; ++j) {
      eight.v[2 * j] = low_half(bits[j]);
      eight.v[2 * j + 1] = high_half(bits[j]);
    }
    return eight;
  }
  HEADSPARK_UNROLL
  for (int j = 0; j < 8; ++j) eight.v[j] = i + j < width ? bf16_to_float({row[i + j]}) : 0.0f;
  return eight;
}

}  // namespace headspark::cuda
