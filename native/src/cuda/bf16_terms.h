// fp32 values as sums of bf16 terms, and how terms are multiplied: three terms hold all 24 bits, so
// that tensor cores give fp32-grade products (as on AMX: src/cpu/gemm.cc).
#pragma once

#include "cuda/cuda_language.h"
#include "cuda/term_products.h"

namespace headspark::cuda {

/// Two bf16 in a register per term.
template <int Terms>
struct TermPair {
  std::uint32_t term[Terms];
};

HEADSPARK_DEVICE float low_half(std::uint32_t pair) {
  return bits_to_float(pair << 16);
}
HEADSPARK_DEVICE float high_half(std::uint32_t pair) {
  return bits_to_float(pair & 0xffff0000u);
}

/// What `term` left of `value`. Nothing is left of what is infinite or NaN.
HEADSPARK_DEVICE float term_rest(float value, float term) {
  return is_finite(term) ? value - term : 0.0f;
}

template <int Terms>
HEADSPARK_DEVICE TermPair<Terms> split_pair(float low, float high) {
  TermPair<Terms> pair;
  HEADSPARK_UNROLL
  for (int i = 0; i < Terms; ++i) {
    pair.term[i] = pack_bf16(low, high);
    if (i + 1 < Terms) {
      low = term_rest(low, low_half(pair.term[i]));
      high = term_rest(high, high_half(pair.term[i]));
    }
  }
  return pair;
}

/// Calls product(i, j) for the terms of a and b that count, the smallest first: what is cut off
/// from a sum is then relative to small sums. Terms whose product is below the last bit are left
/// out.
template <int TermsA, int TermsB, typename Product>
HEADSPARK_DEVICE void for_products(const Product& product) {
  constexpr int kLast = last_sum(TermsA, TermsB);
  HEADSPARK_UNROLL
  for (int sum = kLast; sum >= 0; --sum) {
    HEADSPARK_UNROLL
    for (int i = 0; i < TermsA; ++i) {
      const int j = sum - i;
      if (j >= 0 && j < TermsB) product(i, j);
    }
  }
}

/// A matrix of bf16 in shared memory with rows of `stride` elements. Strides of 8 more than a
/// multiple of 64 elements keep the eight rows of an ldmatrix in different banks.
struct SharedMatrix {
  SharedArray<Bf16> data;
  int stride;
  int begin;  ///< element where it begins

  /// A [16 x 16] whose upper left element is (row, column).
  HEADSPARK_DEVICE FragmentA left(int row, int column) const {
    const int lane = lane_index();
    FragmentA a;
    load_matrices(a.r, data, begin + (row + lane % 16) * stride + column + lane / 16 * 8);
    return a;
  }
  /// Two B [16 x 8] side by side, columns n … n + 15, stored as [column][depth].
  HEADSPARK_DEVICE void right_by_column(FragmentB (&b)[2], int n, int depth) const {
    const int lane = lane_index();
    std::uint32_t r[4];
    load_matrices(r, data,
                  begin + (n + lane % 8 + lane / 16 * 8) * stride + depth + lane / 8 % 2 * 8);
    b[0] = {{r[0], r[1]}};
    b[1] = {{r[2], r[3]}};
  }
  /// The same, stored as [depth][column].
  HEADSPARK_DEVICE void right_by_depth(FragmentB (&b)[2], int n, int depth) const {
    const int lane = lane_index();
    std::uint32_t r[4];
    load_matrices_transposed(r, data, begin + (depth + lane % 16) * stride + n + lane / 16 * 8);
    b[0] = {{r[0], r[1]}};
    b[1] = {{r[2], r[3]}};
  }
  /// Two B [16 x 8] one below the other, columns n … n + 7, stored as [depth][column].
  HEADSPARK_DEVICE void right_by_long_depth(FragmentB (&b)[2], int n, int depth) const {
    std::uint32_t r[4];
    load_matrices_transposed(r, data, begin + (depth + lane_index()) * stride + n);
    b[0] = {{r[0], r[1]}};
    b[1] = {{r[2], r[3]}};
  }
};

/// Eight bytes: four consecutive bf16 of one term.
struct alignas(8) FourBf16 {
  std::uint32_t low;
  std::uint32_t high;
};

/// To device memory, aligned to 8 bytes.
HEADSPARK_DEVICE void store_four_bf16(Bf16* to, const FourBf16& four) {
  store_two(reinterpret_cast<float*>(to), {bits_to_float(four.low), bits_to_float(four.high)});
}

/// Stores four values as terms; term i lies `term_stride` elements after term i - 1.
template <int Terms>
HEADSPARK_DEVICE void store_terms(const SharedArray<Bf16>& to, int index, int term_stride,
                                  const Four& v) {
  const TermPair<Terms> low = split_pair<Terms>(v.x, v.y);
  const TermPair<Terms> high = split_pair<Terms>(v.z, v.w);
  HEADSPARK_UNROLL
  for (int i = 0; i < Terms; ++i) {
    to.template store_as<FourBf16>(index + i * term_stride, {low.term[i], high.term[i]});
  }
}

}  // namespace headspark::cuda
