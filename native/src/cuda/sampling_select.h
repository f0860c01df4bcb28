// Where the likeliest tokens of a row end that sum to something: for flat distributions, whose
// thousands of tokens do not fit shared memory.
#pragma once

#include "cuda/sampling_list.h"

namespace headspark::cuda {

// The tokens of a row that count: keys up to `last`, weights of at least `least`.
struct Kept {
  std::uint64_t last;
  float least;
  float floor;

  HEADSPARK_DEVICE float weight(std::uint64_t key, float x) const {
    if (x < floor || key > last) return -1.0f;
    const float weight = sampling_weight(x);
    return weight >= least ? weight : -1.0f;
  }
};

HEADSPARK_DEVICE double weight_of(const TemperedRow& row, const Kept& kept,
                                  const WarpPlaces& places) {
  double sum[1] = {};
  for_own_tokens(row, [&](int token, float x) {
    const float weight = kept.weight(row.key(token, x), x);
    if (weight > 0.0f) sum[0] += static_cast<double>(weight);
  });
  block_sums(sum, places);
  return sum[0];
}

struct Selected {
  std::uint64_t last;  ///< key
  double sum;          ///< up to there, as it was counted; below 0: not known
};

// The smallest key up to which the weights (or, counted, the tokens) sum to what `reached` asks
// for, or the last of all. By two bits of the key at a time, each a pass over the row. (Three bits
// would take eight sums per thread, which do not fit the registers of two blocks.)
template <bool Counted, typename Reached>
HEADSPARK_DEVICE Selected select_by_bits(const TemperedRow& row, const Kept& kept,
                                         const WarpPlaces& places, const Reached& reached) {
  std::uint64_t prefix = 0;
  double before = 0.0;
  for (int shift = (30 + row.id_bits) / 2 * 2; shift >= 0; shift -= 2) {
    double bins[4] = {};
    for_own_tokens(row, [&](int token, float x) {
      const std::uint64_t key = row.key(token, x);
      if ((key >> shift) >> 2 != prefix) return;
      const float weight = kept.weight(key, x);
      if (weight < 0.0f) return;
      const int digit = static_cast<int>(key >> shift) & 3;
      HEADSPARK_UNROLL
      for (int bin = 0; bin < 4; ++bin) {
        if (bin == digit) bins[bin] += Counted ? 1.0 : static_cast<double>(weight);
      }
    });
    block_sums(bins, places);
    int digit = 0;
    double below = before;  // the sum before `digit`
    bool found = false;
    HEADSPARK_UNROLL
    for (int bin = 0; bin < 4; ++bin) {
      if (found || !(bins[bin] > 0.0)) continue;
      digit = bin;
      below = before;
      before += bins[bin];
      found = reached(before);
    }
    before = below;
    prefix = (prefix << 2) | static_cast<std::uint64_t>(digit);
  }
  return {prefix, -1.0};
}

// Sums of a bucket are whole numbers, which threads add to at once: in units of which its weights
// are multiples, of at most 25 bits. 2^18 of them fit two limbs of 32 bits.
constexpr int kMostBucketTokens = 1 << 18;
static_assert(kBuckets <= kList, "limbs lie where keys do, sums where theirs do");
constexpr int kLimbBits = 12;

// Its weights are at least 2^(this) and less than four times that.
HEADSPARK_DEVICE int lowest_exponent(int bucket) {
  const float depth = rounded_product(static_cast<float>(bucket), 0.02254211f) - 1e-4f;
  const int below = static_cast<int>(depth);  // log2 of e, 1/64 of it a bucket
  return -(static_cast<float>(below) < depth ? below + 1 : below) - 1;
}

HEADSPARK_DEVICE void add_to_bucket(const SharedArray<std::uint32_t>& limbs, int bucket,
                                    float weight) {
  const std::uint32_t bits = float_to_bits(weight);
  const int shift = static_cast<int>(bits >> 23) - 127 - lowest_exponent(bucket);
  const std::uint32_t units = ((bits & 0x7fffffu) | 0x800000u) << (shift > 0 ? 1 : 0);
  limbs.add(2 * bucket, units & ((1u << kLimbBits) - 1));
  limbs.add(2 * bucket + 1, units >> kLimbBits);
}

HEADSPARK_DEVICE double sum_of_bucket(const SharedArray<std::uint32_t>& limbs, int bucket) {
  const double units = static_cast<double>(limbs.load(2 * bucket + 1)) * (1 << kLimbBits) +
                       static_cast<double>(limbs.load(2 * bucket));
  const auto exponent = static_cast<std::uint32_t>(lowest_exponent(bucket) - 23 + 127);
  return units * static_cast<double>(bits_to_float(exponent << 23));
}

/// The tokens that count of a row, by bucket.
template <bool Counted>
struct Buckets {
  const TemperedRow& row;
  const Kept& kept;
  const BlockMemory& memory;

  /// running[b] becomes the sum of the buckets up to b, but for the last one.
  HEADSPARK_DEVICE void add_up() const {
    const auto limbs = memory.keys.template as<std::uint32_t>();
    for (int i = thread_index(); i < 2 * kBuckets; i += kSampleThreads) limbs.store(i, 0);
    sync_threads();
    for_own_tokens(row, [&](int token, float x) {
      const int bucket = bucket_of(x);
      const float weight = kept.weight(row.key(token, x), x);
      if (weight < 0.0f || bucket == kBuckets - 1) return;
      if (Counted) {
        limbs.add(2 * bucket, 1);
      } else {
        add_to_bucket(limbs, bucket, weight);
      }
    });
    sync_threads();
    run_sums(kBuckets - 1, memory, 0.0, [&](int b) {
      return Counted ? static_cast<double>(limbs.load(2 * b)) : sum_of_bucket(limbs, b);
    });
  }

  /// How many tokens the bucket has; where they fit, their keys, sorted, and running[i]: `before`
  /// and the bucket up to i.
  HEADSPARK_DEVICE int list(int wanted, double before) const {
    const auto counter = memory.weights.template as<std::uint32_t>();
    if (thread_index() == 0) counter.store(0, 0);
    sync_threads();
    for_own_tokens(row, [&](int token, float x) {
      const std::uint64_t key = row.key(token, x);
      if (bucket_of(x) != wanted || kept.weight(key, x) < 0.0f) return;
      const auto place = static_cast<int>(counter.add(0, 1));
      if (place < kList) memory.keys.store(place, key);
    });
    sync_threads();
    const auto count = static_cast<int>(counter.load(0));
    if (count > kList) return count;
    sort_keys(count, memory);
    for (int i = thread_index(); i < count; i += kSampleThreads) {
      memory.weights.store(i, Counted ? 1.0f : sampling_weight(row.value_of(memory.keys.load(i))));
    }
    sync_threads();
    run_weights(count, memory, before);
    return count;
  }
};

// As select_by_bits, in two passes where the tokens of the bucket are few in which the sum crosses.
template <bool Counted, typename Reached>
HEADSPARK_DEVICE Selected select(const TemperedRow& row, const Kept& kept,
                                 const BlockMemory& memory, const Reached& reached) {
  const auto crosses = [&](int i) { return reached(memory.running.load(i)); };
  const Buckets<Counted> buckets{row, kept, memory};
  if (row.vocab <= kMostBucketTokens) {
    buckets.add_up();
    const int bucket = first_place(0, kBuckets - 1, memory, crosses);
    if (bucket < kBuckets - 1) {
      const double before = bucket > 0 ? memory.running.load(bucket - 1) : 0.0;
      sync_threads();
      const int count = buckets.list(bucket, before);
      if (count <= kList) {
        const int place = first_place(0, count - 1, memory, crosses);
        const Selected selected{memory.keys.load(place), memory.running.load(place)};
        sync_threads();
        return selected;
      }
      sync_threads();
    }
  }
  return select_by_bits<Counted>(row, kept, memory.warps, reached);
}

}  // namespace headspark::cuda
