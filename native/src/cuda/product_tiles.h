// Tiles of a product's two operands as bf16 terms in shared memory, 32 depths at a time, and a
// warp's part of their product. Tensor cores cut their sums off (Fasi et al. 2021, "Numerical
// behavior of NVIDIA tensor cores"), so every 32 depths begin at zero there and are added in fp32
// afterwards.
#pragma once

#include "cuda/bf16_terms.h"

namespace headspark::cuda {

constexpr int kTileDepth = 32;
constexpr int kLongRow = kTileDepth + 8;  // elements, of tiles stored as [row][depth]

// The order in which threads take long rows. Two rows are stored at once; four rows apart they lie
// in different halves of the banks (kLongRow is 20 banks, four times that is 16 more than 64).
HEADSPARK_DEVICE int long_row(int number) {
  return number / 8 * 8 + number % 2 * 4 + number % 8 / 2;
}

/// Bytes of a piece of 16 that exist where `left` elements do from its first on.
HEADSPARK_DEVICE int valid_bytes(std::int64_t left) {
  constexpr int kElements = 16 / static_cast<int>(sizeof(Bf16));
  if (left >= kElements) return 16;
  return left > 0 ? static_cast<int>(left) * static_cast<int>(sizeof(Bf16)) : 0;
}

/// The terms of an operand, one tile after the other.
struct TermTiles {
  SharedArray<Bf16> data;
  int stride;
  int elements;   ///< of one term
  int begin = 0;  ///< element where the first begins

  HEADSPARK_DEVICE SharedMatrix term(int number) const {
    return {data, stride, begin + number * elements};
  }
};

/// Where a warp's part of the product begins in the tile.
struct WarpPlace {
  int row;
  int column;
};

/// One term of a times one term of b, for 16 * Rows rows and 8 * Columns columns. b is stored as
/// [column][depth], or [depth][column] when Wide.
template <bool Wide, int Rows, int Columns>
HEADSPARK_DEVICE void multiply_terms(FragmentC (&c)[Rows][Columns], const SharedMatrix& a,
                                     const SharedMatrix& b, const WarpPlace& at) {
  HEADSPARK_UNROLL
  for (int depth = 0; depth < kTileDepth; depth += 16) {
    FragmentA left[Rows];
    HEADSPARK_UNROLL
    for (int m = 0; m < Rows; ++m) left[m] = a.left(at.row + 16 * m, depth);
    HEADSPARK_UNROLL
    for (int n = 0; n < Columns; n += 2) {
      FragmentB right[2];
      if constexpr (Wide) {
        b.right_by_depth(right, at.column + 8 * n, depth);
      } else {
        b.right_by_column(right, at.column + 8 * n, depth);
      }
      HEADSPARK_UNROLL
      for (int m = 0; m < Rows; ++m) {
        multiply_add(c[m][n], left[m], right[0]);
        multiply_add(c[m][n + 1], left[m], right[1]);
      }
    }
  }
}

/// sums += the tile's product, all terms that count.
template <int TermsA, int TermsB, bool Wide, int Rows, int Columns>
HEADSPARK_DEVICE void multiply_tile(FragmentC (&sums)[Rows][Columns], const TermTiles& a,
                                    const TermTiles& b, const WarpPlace& at) {
  FragmentC c[Rows][Columns] = {};
  for_products<TermsA, TermsB>(
      [&](int i, int j) { multiply_terms<Wide>(c, a.term(i), b.term(j), at); });
  HEADSPARK_UNROLL
  for (int m = 0; m < Rows; ++m) {
    HEADSPARK_UNROLL
    for (int n = 0; n < Columns; ++n) {
      HEADSPARK_UNROLL
      for (int r = 0; r < 4; ++r) sums[m][n].r[r] += c[m][n].r[r];
    }
  }
}

/// The same, but that one term of each is summed by the tensor core alone: what it cuts off is far
/// below a bf16's last bit.
template <int TermsA, int TermsB, bool Wide, int Rows, int Columns>
HEADSPARK_DEVICE void add_tile_product(FragmentC (&sums)[Rows][Columns], const TermTiles& a,
                                       const TermTiles& b, const WarpPlace& at) {
  if constexpr (TermsA == 1 && TermsB == 1) {
    multiply_terms<Wide>(sums, a.term(0), b.term(0), at);
  } else {
    multiply_tile<TermsA, TermsB, Wide>(sums, a, b, at);
  }
}

/// Calls write(row, column, pair) for the pairs of neighbours among a warp's sums; row and column,
/// which is even, are those in the tile.
template <int Rows, int Columns, typename Write>
HEADSPARK_DEVICE void for_pairs(const FragmentC (&sums)[Rows][Columns], const WarpPlace& at,
                                const Write& write) {
  const int g = lane_index() / 4;
  const int t = lane_index() % 4 * 2;
  HEADSPARK_UNROLL
  for (int m = 0; m < Rows; ++m) {
    HEADSPARK_UNROLL
    for (int n = 0; n < Columns; ++n) {
      HEADSPARK_UNROLL
      for (int r = 0; r < 4; r += 2) {
        write(at.row + 16 * m + g + r / 2 * 8, at.column + 8 * n + t,
              Two{sums[m][n].r[r], sums[m][n].r[r + 1]});
      }
    }
  }
}

}  // namespace headspark::cuda
