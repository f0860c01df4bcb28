// Some tokens of a row under the threads of a block: sorted, and summed in that order.
#pragma once

#include "cuda/sampling_row.h"

namespace headspark::cuda {

constexpr int kList = 2048;  ///< tokens that are sorted in shared memory

struct BlockMemory {
  SharedArray<double> running;  // [places], by block, then by place in the list
  SharedArray<std::uint64_t> keys;
  SharedArray<float> weights;
  SharedArray<LargestTwo> largest;
  WarpPlaces warps;

  HEADSPARK_DEVICE BlockMemory(SharedMemory memory, int places)
      : running(memory.take<double>(places)),
        keys(memory.take<std::uint64_t>(kList)),
        weights(memory.take<float>(kList)),
        largest(memory.take<LargestTwo>(kSampleWarps)),
        warps{memory.take<double>(kSampleWarps * 8), memory.take<std::int32_t>(kSampleWarps)} {}

  static int bytes(int places) {
    return places * 8 + 8 + kList * 12 + kSampleWarps * (16 + 8 * 8 + 4);
  }
};

// The first `count` keys; all threads have written theirs.
HEADSPARK_DEVICE void sort_keys(int count, const BlockMemory& memory) {
  int size = 1;
  while (size < count) size *= 2;
  const std::uint64_t none = ~std::uint64_t{0};
  for (int i = count + thread_index(); i < size; i += kSampleThreads) memory.keys.store(i, none);
  sync_threads();
  for (int run = 2; run <= size; run *= 2) {  // bitonic
    for (int step = run / 2; step > 0; step /= 2) {
      for (int i = thread_index(); i < size / 2; i += kSampleThreads) {
        const int low = 2 * i - (i & (step - 1));
        const std::uint64_t a = memory.keys.load(low);
        const std::uint64_t b = memory.keys.load(low + step);
        if ((a > b) == ((low & run) == 0)) {
          memory.keys.store(low, b);
          memory.keys.store(low + step, a);
        }
      }
      sync_threads();
    }
  }
}

// running[i]: `first` and the values up to i, in 64 pieces.
template <typename Value>
HEADSPARK_DEVICE void run_sums(int count, const BlockMemory& memory, double first,
                               const Value& value) {
  constexpr int pieces = 64;
  const int length = (count + pieces - 1) / pieces;
  const int begin = thread_index() * length;
  const int end = begin + length < count ? begin + length : count;
  double sum = 0.0;
  if (thread_index() < pieces) {
    for (int i = begin; i < end; ++i) sum += value(i);
    memory.warps.sums.store(thread_index(), sum);
  }
  sync_threads();
  if (thread_index() < pieces) {
    double before = first;
    for (int piece = 0; piece < thread_index(); ++piece) before += memory.warps.sums.load(piece);
    sum = 0.0;
    for (int i = begin; i < end; ++i) {
      sum += value(i);
      memory.running.store(i, before + sum);
    }
  }
  sync_threads();
}

// The same of the list's weights.
HEADSPARK_DEVICE void run_weights(int count, const BlockMemory& memory, double first = 0.0) {
  run_sums(count, memory, first,
           [&](int i) { return static_cast<double>(memory.weights.load(i)); });
}

// The first place below `count` that fits, or `count`.
template <typename Fits>
HEADSPARK_DEVICE int first_place(int begin, int count, const BlockMemory& memory,
                                 const Fits& fits) {
  int place = count;
  for (int i = begin + thread_index(); i < count; i += kSampleThreads) {
    if (i < place && fits(i)) place = i;
  }
  return block_smallest(place, memory.warps);
}

}  // namespace headspark::cuda
