// The softmax that attention keeps while it walks over keys (arXiv 1805.02867), and how the splits
// of a context are merged: one after the other, always in the same words, so that whoever computes
// a split and whoever merges it gives a query the same bits.
#pragma once

#include "cuda/attention_mask.h"

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

/// Weights exp(scale * s + shift). One term of a weight is a bf16, so that the processor's own
/// power of two is exact enough; three are fp32.
template <int Terms>
struct Exponent {
  static constexpr float kUnit = Terms == 1 ? kLog2OfE : 1.0f;

  float scale;
  float shift;

  HEADSPARK_DEVICE static Exponent of(float scale, float shift) {
    return {scale * kUnit, shift * kUnit};
  }
  HEADSPARK_DEVICE float weight(float s) const {
    const float x = multiply_add(s, scale, shift);
    if constexpr (Terms == 1) return quick_power_of_two(x);
    return exponential(x);
  }
};

/// Scores to weights exp(scale * s - largest), those of keys that a row does not see to 0; `shrink`
/// is the factor of earlier sums. A row may have seen no key up to here: with all scores -infinity,
/// their differences from the largest would be NaN. scale is positive.
template <int Terms>
HEADSPARK_DEVICE void weigh(FragmentC (&s)[kStepPieces], Softmax& softmax, float (&shrink)[2],
                            const SeenKeys& seen, std::int32_t key, float scale) {
  hide_later_keys(s, seen.last, key);
  hide_earlier_keys(s, seen.first, key);
  HEADSPARK_UNROLL
  for (int half = 0; half < 2; ++half) {
    float largest = s[0].r[2 * half];
    HEADSPARK_UNROLL
    for (int n = 0; n < kStepPieces; ++n) {
      HEADSPARK_UNROLL
      for (int r = 2 * half; r < 2 * half + 2; ++r) largest = larger_number(largest, s[n].r[r]);
    }
    HEADSPARK_UNROLL
    for (int mask = 1; mask < 4; mask *= 2)
      largest = larger_number(largest, shuffle_xor(largest, mask));
    largest = larger_number(softmax.largest[half], largest * scale);
    const float shift = largest == -infinity() ? 0.0f : -largest;
    // Exactly 1 where the largest stays: of one term the exponent of 0 is off in the last bits,
    // which would add up over the steps.
    shrink[half] = softmax.largest[half] == largest
                       ? 1.0f
                       : Exponent<Terms>::of(1.0f, shift).weight(softmax.largest[half]);
    softmax.largest[half] = largest;
    softmax.sum[half] *= shrink[half];
    const auto exponent = Exponent<Terms>::of(scale, shift);
    HEADSPARK_UNROLL
    for (int n = 0; n < kStepPieces; ++n) {
      HEADSPARK_UNROLL
      for (int r = 2 * half; r < 2 * half + 2; ++r) {
        s[n].r[r] = exponent.weight(s[n].r[r]);
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
