// What becomes of a product's sums: scale, bias and residual, and where they go.
#pragma once

#include "cuda/alignment.h"
#include "cuda/cuda_language.h"
#include "cuda/gemm.h"

namespace headspark::cuda {

struct GemmOutput {
  std::int64_t rows;
  std::int64_t columns;
  float scale;
  float* c;
  std::int64_t c_stride;
  const float* bias;
  const float* initial;
  float* plain;
  std::uint16_t* narrow;
  bool two;  // rows of what is read and written are aligned to two elements
};

inline GemmOutput output_of(const Gemm& g) {
  const bool two = g.c_stride % 2 == 0 && aligned_to(8, g.c) && aligned_to(8, g.initial) &&
                   aligned_to(8, g.plain) && aligned_to(4, g.narrow);
  return {g.rows, g.columns, g.scale, g.c, g.c_stride, g.bias, g.initial, g.plain, g.narrow, two};
}

HEADSPARK_DEVICE void write_element(const GemmOutput& p, std::int64_t row, std::int64_t column,
                                    float sum) {
  if (row >= p.rows || column >= p.columns) return;
  const std::int64_t index = row * p.c_stride + column;
  float value = p.scale * sum;
  if (p.bias != nullptr) value += p.bias[column];
  if (p.narrow != nullptr) {
    p.narrow[index] = float_to_bf16(value).bits;
    return;
  }
  if (p.plain != nullptr) p.plain[index] = value;
  if (p.initial != nullptr) value += p.initial[index];
  p.c[index] = value;
}

/// Sums of `column`, which is even, and the next.
HEADSPARK_DEVICE void write_pair(const GemmOutput& p, std::int64_t row, std::int64_t column,
                                 const Two& sums) {
  if (!p.two || column + 2 > p.columns) {
    write_element(p, row, column, sums.x);
    return write_element(p, row, column + 1, sums.y);
  }
  if (row >= p.rows) return;
  const std::int64_t index = row * p.c_stride + column;
  Two value{p.scale * sums.x, p.scale * sums.y};
  if (p.bias != nullptr) value = {value.x + p.bias[column], value.y + p.bias[column + 1]};
  if (p.narrow != nullptr) {
    *reinterpret_cast<std::uint32_t*>(p.narrow + index) = pack_bf16(value.x, value.y);
    return;
  }
  if (p.plain != nullptr) store_two(p.plain + index, value);
  if (p.initial != nullptr) {
    const Two initial = read_two(p.initial + index);
    value = {value.x + initial.x, value.y + initial.y};
  }
  store_two(p.c + index, value);
}

}  // namespace headspark::cuda
