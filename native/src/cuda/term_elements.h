// How kernels write rows of terms: a thread has eight elements, or some pairs.
#pragma once

#include "cuda/elements.h"
#include "cuda/row_eights.h"
#include "cuda/term_rows.h"

namespace headspark::cuda {

struct TermPlace {
  std::int64_t row;
  std::int64_t k;  ///< past the depth lie zeros
};

/// One thread per eight elements of a row, padding included.
inline LaunchShape term_shape(const TermRows& rows) {
  return element_shape(rows.rows * rows.stride / kElementsOf16Bytes);
}

HEADSPARK_DEVICE TermPlace term_place(const TermRows& rows) {
  const std::int64_t eights = rows.stride / kElementsOf16Bytes;
  const std::int64_t i = element_index();
  return {i / eights, i % eights * kElementsOf16Bytes};
}

/// Eight elements of a row from k, a multiple of 8, on.
template <int Terms>
HEADSPARK_DEVICE void store_eight(const TermRows& to, const TermPlace& at, const Eight& eight) {
  TermPair<Terms> pairs[4];
  HEADSPARK_UNROLL
  for (int j = 0; j < 4; ++j) pairs[j] = split_pair<Terms>(eight.v[2 * j], eight.v[2 * j + 1]);
  std::uint16_t* const first = to.data + at.row * to.stride + at.k;
  HEADSPARK_UNROLL
  for (int i = 0; i < Terms; ++i) {
    store_four(reinterpret_cast<float*>(first + i * to.term_stride),
               {bits_to_float(pairs[0].term[i]), bits_to_float(pairs[1].term[i]),
                bits_to_float(pairs[2].term[i]), bits_to_float(pairs[3].term[i])});
  }
}

/// Elements k, which is even, and k + 1 of a row.
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
