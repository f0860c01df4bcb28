// The softmax that attention keeps while it walks over keys (arXiv 1805.02867), and how the splits
// of a context are merged: one after the other, always in the same words, so that whoever computes
// a split and whoever merges it gives a query the same bits.
#pragma once

#include "cuda/bf16_terms.h"

namespace headspark::cuda {

/// Keys of one step of the walk: a page.
constexpr int kStepKeys = 32;
constexpr int kStepPieces = kStepKeys / 8;

/// Keys of a split of a context in pages: eight pages.
constexpr int kSplitKeys = 256;

constexpr std::int32_t split_end(std::int32_t begin, std::int32_t context_end) {
  return context_end - begin <= kSplitKeys ? context_end : begin + kSplitKeys;
}

/// Of rows g and g + 8 of a warp's 16.
struct Softmax {
  float largest[2];
  float sum[2];  ///< this lane's share
};

HEADSPARK_DEVICE Softmax nothing_seen() {
  return {{-infinity(), -infinity()}, {0.0f, 0.0f}};
}

/// Scores to weights exp(s - largest), those of keys past a row's `position` to 0; `shrink` is the
/// factor of earlier sums. Some key up to here is not past it.
HEADSPARK_DEVICE void weigh(FragmentC (&s)[kStepPieces], Softmax& softmax, float (&shrink)[2],
                            const std::int32_t (&position)[2], std::int32_t first_key,
                            float scale) {
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    float largest = softmax.largest[half];
    HEADSPARK_UNROLL
    for (int n = 0; n < kStepPieces; ++n) {
      HEADSPARK_UNROLL
      for (int r = 2 * half; r < 2 * half + 2; ++r) {
        const std::int32_t key = first_key + 8 * n + lane_index() % 4 * 2 + r % 2;
        s[n].r[r] = key <= position[half] ? s[n].r[r] * scale : -infinity();
        largest = s[n].r[r] > largest ? s[n].r[r] : largest;
      }
    }
    HEADSPARK_UNROLL
    for (int mask = 1; mask < 4; mask *= 2) {
      const float other = shuffle_xor(largest, mask);
      largest = other > largest ? other : largest;
    }
    shrink[half] = exponential(softmax.largest[half] - largest);
    softmax.largest[half] = largest;
    softmax.sum[half] *= shrink[half];
    HEADSPARK_UNROLL
    for (int n = 0; n < kStepPieces; ++n) {
      HEADSPARK_UNROLL
      for (int r = 2 * half; r < 2 * half + 2; ++r) {
        s[n].r[r] = exponential(s[n].r[r] - largest);
        softmax.sum[half] += s[n].r[r];
      }
    }
  }
}

/// Of a row, from the shares of its four lanes.
HEADSPARK_DEVICE float whole_sum(float share) {
  share += shuffle_xor(share, 1);
  return share + shuffle_xor(share, 2);
}
HEADSPARK_DEVICE float whole_sum(const float* shares) {
  return (shares[0] + shares[1]) + (shares[2] + shares[3]);
}

/// The largest score of the splits so far, and their sum.
struct MergedSoftmax {
  float largest;
  float sum;
};

struct MergeFactors {
  float before;
  float now;
};

/// Adds the next split.
HEADSPARK_DEVICE MergeFactors merge(MergedSoftmax& merged, const MergedSoftmax& split) {
  const float largest = split.largest > merged.largest ? split.largest : merged.largest;
  const MergeFactors factors{exponential(merged.largest - largest),
                             exponential(split.largest - largest)};
  merged.sum = multiply_add(merged.sum, factors.before, split.sum * factors.now);
  merged.largest = largest;
  return factors;
}
/// The same for a sum of values.
HEADSPARK_DEVICE float merge(const MergeFactors& factors, float before, float now) {
  return multiply_add(before, factors.before, now * factors.now);
}

}  // namespace headspark::cuda
