// Kernels that are one thread per element, or per four neighbouring ones.
#pragma once

#include "cuda/cuda_language.h"

namespace headspark::cuda {

constexpr int kElementThreads = 256;

inline LaunchShape element_shape(std::int64_t count) {
  return {{blocks_for(count, kElementThreads)}, kElementThreads};
}

/// One element, or four that lie at a multiple of 16 bytes.
template <int Width>
struct Elements {
  static_assert(Width == 1 || Width == 4);
  float v[Width];
};

template <int Width>
HEADSPARK_DEVICE Elements<Width> read_elements(const float* p) {
  if constexpr (Width == 1) {
    return {{*p}};
  } else {
    const Four four = read_four(p);
    return {{four.x, four.y, four.z, four.w}};
  }
}
/// Of what nobody writes meanwhile.
template <int Width>
HEADSPARK_DEVICE Elements<Width> load_elements(const float* p) {
  if constexpr (Width == 1) {
    return {{load_constant(p)}};
  } else {
    const Four four = load_four(p);
    return {{four.x, four.y, four.z, four.w}};
  }
}
template <int Width>
HEADSPARK_DEVICE void store_elements(float* p, const Elements<Width>& value) {
  if constexpr (Width == 1) {
    *p = value.v[0];
  } else {
    store_four(p, {value.v[0], value.v[1], value.v[2], value.v[3]});
  }
}
/// Rounded to bf16, at a multiple of 8 bytes where they are four.
template <int Width>
HEADSPARK_DEVICE void store_rounded(std::uint16_t* p, const Elements<Width>& value) {
  if constexpr (Width == 1) {
    *p = float_to_bf16(value.v[0]).bits;
  } else {
    store_two(reinterpret_cast<float*>(p), {bits_to_float(pack_bf16(value.v[0], value.v[1])),
                                            bits_to_float(pack_bf16(value.v[2], value.v[3]))});
  }
}

HEADSPARK_DEVICE std::int64_t element_index() {
  return static_cast<std::int64_t>(block_x()) * kElementThreads + thread_index();
}

}  // namespace headspark::cuda
