// How kernels write rows of terms: a thread per pair of elements.
#pragma once

#include "cuda/bf16_terms.h"
#include "cuda/elements.h"
#include "cuda/term_rows.h"

namespace headspark::cuda {

struct TermPlace {
  std::int64_t row;
  std::int64_t k;  ///< even; past the depth lie zeros
};

/// One thread per pair of a row, padding included.
inline LaunchShape term_shape(const TermRows& rows) {
  return element_shape(rows.rows * rows.stride / 2);
}

HEADSPARK_DEVICE TermPlace term_place(const TermRows& rows) {
  const std::int64_t pairs = rows.stride / 2;
  const std::int64_t i = element_index();
  return {i / pairs, i % pairs * 2};
}

/// Elements k and k + 1 of a row.
template <int Terms>
HEADSPARK_DEVICE void store_pair(const TermRows& to, const TermPlace& at, float low, float high) {
  const TermPair<Terms> pair = split_pair<Terms>(low, high);
  std::uint16_t* const first = to.data + at.row * to.stride + at.k;
  HEADSPARK_UNROLL
  for (int i = 0; i < Terms; ++i) {
    *reinterpret_cast<std::uint32_t*>(first + i * to.term_stride) = pair.term[i];
  }
}

}  // namespace headspark::cuda
