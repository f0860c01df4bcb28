// One row of logits under the threads of a block: how they share it, its tempered logits and
// weights, and sums over it. What is summed in which order: ops/sampling_filter.h.
#pragma once

#include <cstdint>

#include "cuda/cuda_language.h"
#include "ops/sampling_filter.h"

namespace headspark::cuda {

// Two threads share a block of kSumBlock tokens, so that 640 cover the 151,936 of Qwen at once. A
// thread has 16 bytes of each load, and a pair of them whole sectors of 32.
constexpr int kSampleThreads = 640;
constexpr int kSampleWarps = kSampleThreads / 32;
static_assert(kSumParts == 8, "a thread has four parts of a block");

/// Exchange between the warps of the block.
struct WarpPlaces {
  SharedArray<double> sums;           ///< [kSampleWarps * 8]
  SharedArray<std::int32_t> numbers;  ///< [kSampleWarps]
};

/// values[n] becomes its sum over the block, in a fixed order, for every thread.
template <int Count>
HEADSPARK_DEVICE void block_sums(double (&values)[Count], const WarpPlaces& places) {
  HEADSPARK_UNROLL
  for (int n = 0; n < Count; ++n) {
    HEADSPARK_UNROLL
    for (int mask = 16; mask > 0; mask /= 2) values[n] += shuffle_xor(values[n], mask);
    if (lane_index() == 0) places.sums.store(warp_index() * Count + n, values[n]);
  }
  sync_threads();
  HEADSPARK_UNROLL
  for (int n = 0; n < Count; ++n) {
    values[n] = 0.0;
    for (int warp = 0; warp < kSampleWarps; ++warp) {
      values[n] += places.sums.load(warp * Count + n);
    }
  }
  sync_threads();
}

HEADSPARK_DEVICE int block_smallest(int value, const WarpPlaces& places) {
  HEADSPARK_UNROLL
  for (int mask = 16; mask > 0; mask /= 2) {
    const int other = shuffle_xor(value, mask);
    value = other < value ? other : value;
  }
  if (lane_index() == 0) places.numbers.store(warp_index(), value);
  sync_threads();
  for (int warp = 0; warp < kSampleWarps; ++warp) {
    const int other = places.numbers.load(warp);
    value = other < value ? other : value;
  }
  sync_threads();
  return value;
}

/// The sum of `value` over the threads before this one.
HEADSPARK_DEVICE int block_sum_before(int value, const WarpPlaces& places) {
  int inclusive = value;
  HEADSPARK_UNROLL
  for (int delta = 1; delta < 32; delta *= 2) {
    const int other = shuffle_from(inclusive, (lane_index() - delta) & 31);
    if (lane_index() >= delta) inclusive += other;
  }
  if (lane_index() == 31) places.numbers.store(warp_index(), inclusive);
  sync_threads();
  int before = inclusive - value;
  for (int warp = 0; warp < warp_index(); ++warp) before += places.numbers.load(warp);
  sync_threads();
  return before;
}

/// The largest two of some logits and where the first of the largest lies. NaN is skipped.
struct alignas(16) LargestTwo {
  float first;
  float second;
  std::int32_t index;  ///< the largest int where there is none above -inf

  HEADSPARK_DEVICE static LargestTwo none() { return {-infinity(), -infinity(), 0x7fffffff}; }
  /// Of the tokens that a thread sees in the order of their ids.
  HEADSPARK_DEVICE void add(float value, int token) {
    if (value > first) {
      second = first;
      first = value;
      index = token;
    } else if (value > second) {
      second = value;
    }
  }
  HEADSPARK_DEVICE void join(const LargestTwo& other) {
    const float less = first < other.first ? first : other.first;
    const float seconds = second > other.second ? second : other.second;
    second = less > seconds ? less : seconds;
    const bool others = other.first > first || (other.first == first && other.index < index);
    index = others ? other.index : index;
    first = others ? other.first : first;
  }
};

/// For every thread. Reads the row once.
HEADSPARK_DEVICE LargestTwo largest_two(const float* logits, int vocab,
                                        const SharedArray<LargestTwo>& places) {
  LargestTwo best = LargestTwo::none();
  const int whole = vocab / 4 * 4;
  for (int i = thread_index() * 4; i < whole; i += kSampleThreads * 4) {
    const Four four = read_four(logits + i);
    best.add(four.x, i);
    best.add(four.y, i + 1);
    best.add(four.z, i + 2);
    best.add(four.w, i + 3);
  }
  if (whole + thread_index() < vocab) {
    best.add(logits[whole + thread_index()], whole + thread_index());
  }
  HEADSPARK_UNROLL
  for (int mask = 16; mask > 0; mask /= 2) {
    best.join({shuffle_xor(best.first, mask), shuffle_xor(best.second, mask),
               shuffle_xor(best.index, mask)});
  }
  if (lane_index() == 0) places.store(warp_index(), best);
  sync_threads();
  for (int warp = 0; warp < kSampleWarps; ++warp) {
    if (warp != warp_index()) best.join(places.load(warp));
  }
  sync_threads();
  return best;
}

/// e^x for x <= 0, 0 below the normal numbers. The operations of cpu/kernels/math.h, one by one, so
/// that the bits are those of the CPU's levels with a fused multiply-add.
HEADSPARK_DEVICE float sampling_weight(float x) {
  if (x < -87.33654f) return 0.0f;
  const float magic = 12582912.0f;  // adding 1.5 * 2^23 leaves the nearest integer
  const float n = (rounded_product(x, 1.44269504f) + magic) - magic;
  float r = multiply_add(n, -0.693359375f, x);
  r = multiply_add(n, 2.12194440e-4f, r);
  float p = 1.9875691500e-4f;
  p = multiply_add(p, r, 1.3981999507e-3f);
  p = multiply_add(p, r, 8.3334519073e-3f);
  p = multiply_add(p, r, 4.1665795894e-2f);
  p = multiply_add(p, r, 1.6666665459e-1f);
  p = multiply_add(p, r, 5.0000001201e-1f);
  const float mantissa = multiply_add(p, rounded_product(r, r), r) + 1.0f;
  const auto exponent = static_cast<std::uint32_t>(static_cast<int>(n) + 127);  // 1 … 127
  return rounded_product(mantissa, bits_to_float(exponent << 23));
}

/// The tempered logit: 0 for the largest, below it for the others, -inf for NaN.
HEADSPARK_DEVICE float tempered(float logit, float largest, float temperature) {
  const float value = logit == logit ? logit : -infinity();
  if (!is_finite(largest)) return value == largest ? 0.0f : -infinity();
  return (value - largest) / temperature;
}

/// A row of tempered logits.
struct TemperedRow {
  float* x;
  int vocab;
  int id_bits;  ///< of a token in a key

  HEADSPARK_DEVICE int blocks() const { return (vocab + kSumBlock - 1) / kSumBlock; }
  /// Likelier tokens have smaller keys, ties by id.
  HEADSPARK_DEVICE std::uint64_t key(int token, float value) const {
    const std::uint64_t depth = float_to_bits(value) & 0x7fffffffu;
    return (depth << id_bits) | static_cast<std::uint64_t>(token);
  }
  HEADSPARK_DEVICE int token_of(std::uint64_t key) const {
    return static_cast<int>(key & ((std::uint64_t{1} << id_bits) - 1));
  }
  HEADSPARK_DEVICE float value_of(std::uint64_t key) const {
    return bits_to_float(static_cast<std::uint32_t>(key >> id_bits) | 0x80000000u);
  }
};

/// The tokens of half a block: four of every eight from `begin` to `whole`, and those from there
/// to `end` in the first half.
struct HalfBlock {
  int begin;
  int whole;
  int end;

  HEADSPARK_DEVICE HalfBlock(int unit, int vocab) {
    const int first = unit / 2 * kSumBlock;
    const int last = first + kSumBlock < vocab ? first + kSumBlock : vocab;
    whole = first + (last - first) / kSumParts * kSumParts;
    begin = first + unit % 2 * 4;
    end = unit % 2 == 0 ? last : whole;
  }
};

/// body(token, tempered logit) for every token of this thread.
template <typename Body>
HEADSPARK_DEVICE void for_own_tokens(const TemperedRow& row, const Body& body) {
  for (int unit = thread_index(); unit < 2 * row.blocks(); unit += kSampleThreads) {
    const HalfBlock half(unit, row.vocab);
    for (int i = half.begin; i < half.whole; i += kSumParts) {
      const Four four = read_four(row.x + i);
      body(i, four.x);
      body(i + 1, four.y);
      body(i + 2, four.z);
      body(i + 3, four.w);
    }
    for (int i = half.whole; i < half.end; ++i) body(i, row.x[i]);
  }
}

/// Tokens of at least `threshold`.
struct Reaching {
  float threshold;
  float floor;  ///< tempered logits below this do not reach it: saves most exponentials
  int own;      ///< how many this thread has
  double count;
  double weight;

  HEADSPARK_DEVICE explicit Reaching(float least)
      : threshold(least),
        floor(least > 0.0f ? logarithm(least) - 0.05f : -infinity()),
        own(0),
        count(0.0),
        weight(0.0) {}
  HEADSPARK_DEVICE void add(float token_weight) {
    if (!(token_weight >= threshold)) return;
    ++own;
    weight += static_cast<double>(token_weight);
  }
  HEADSPARK_DEVICE void sum(const WarpPlaces& places) {
    double both[2] = {static_cast<double>(own), weight};
    block_sums(both, places);
    count = both[0];
    weight = both[1];
  }
};

/// Reads the row once.
HEADSPARK_DEVICE Reaching reaching(const TemperedRow& row, float threshold,
                                   const WarpPlaces& places) {
  Reaching result(threshold);
  for_own_tokens(row, [&](int, float x) {
    if (x >= result.floor) result.add(sampling_weight(x));
  });
  result.sum(places);
  return result;
}

/// The sum of e^(x - largest) over a row that is not tempered yet, for every thread. Reads it once.
HEADSPARK_DEVICE double weight_of_all(const TemperedRow& row, float largest,
                                      const WarpPlaces& places) {
  double sum[1] = {};
  for_own_tokens(row, [&](int, float x) {
    sum[0] += static_cast<double>(sampling_weight(tempered(x, largest, 1.0f)));
  });
  block_sums(sum, places);
  return sum[0];
}

struct Temper {
  float largest;
  float temperature;
};

/// Makes the row's logits tempered ones and counts what reaches the first threshold. Reads and
/// writes the row once. running[b]: the weight of the blocks before b; the last is the total.
HEADSPARK_DEVICE Reaching temper(const TemperedRow& row, const Temper& by,
                                 const SharedArray<double>& running, const WarpPlaces& places) {
  Reaching result(kFirstThreshold);
  const int halves = 2 * row.blocks();
  const auto weigh = [&](float& x, double& part) {
    x = tempered(x, by.largest, by.temperature);
    const float weight = sampling_weight(x);
    part += static_cast<double>(weight);
    result.add(weight);
  };
  // All lanes stay: they exchange sums.
  for (int first = 0; first < halves; first += kSampleThreads) {
    const int unit = first + thread_index();
    double parts[4] = {};
    if (unit < halves) {
      const HalfBlock half(unit, row.vocab);
      for (int i = half.begin; i < half.whole; i += kSumParts) {
        Four four = read_four(row.x + i);
        weigh(four.x, parts[0]);
        weigh(four.y, parts[1]);
        weigh(four.z, parts[2]);
        weigh(four.w, parts[3]);
        store_four(row.x + i, four);
      }
      for (int i = half.whole; i < half.end; ++i) weigh(row.x[i], parts[0]);
    }
    double sum = 0.0;
    HEADSPARK_UNROLL
    for (int part = 0; part < 4; ++part) sum += parts[part];
    HEADSPARK_UNROLL
    for (int part = 0; part < 4; ++part) sum += shuffle_xor(parts[part], 1);
    if (unit < halves && unit % 2 == 0) running.store(unit / 2, sum);
  }
  sync_threads();
  if (thread_index() == 0) {
    double sum = 0.0;
    for (int block = 0; block < row.blocks(); ++block) {
      const double own = running.load(block);
      running.store(block, sum);
      sum += own;
    }
    running.store(row.blocks(), sum);
  }
  result.sum(places);  // and everyone sees the running sums
  return result;
}

}  // namespace headspark::cuda
