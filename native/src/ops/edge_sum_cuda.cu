// What destinations read in a circuit, on the GPU. A block has 32 destinations at a few positions:
// a source is a word of 32 bits to it, and those of no bit are left out before anything is read.
// Blocks of all destinations at the same positions are neighbours, so that device memory is read
// once for them. Sums run over sources in order: the same bits as edge_sum_cpu.cc.
#include <algorithm>

#include "cuda/alignment.h"
#include "cuda/cuda_language.h"
#include "cuda/op_device.h"
#include "ops/backends.h"
#include "ops/edge_sum_groups.h"

namespace headspark {
namespace {

using namespace cuda;

constexpr int kEdgeSumThreads = 128;
constexpr int kEdgeSumWarps = kEdgeSumThreads / 32;
constexpr int kGroupDestinations = 32;  // of a block, one for each lane that reads the mask
constexpr int kByte = 8;                // destinations that are passed over at once
constexpr int kAhead = 8;               // differences that are read before the first is added
constexpr int kMostEdgeSums = 16;       // of a launch

struct EdgeSumsKernel {
  EdgeSum each[kMostEdgeSums];
  std::int32_t first_group[kMostEdgeSums];  // of all groups of destinations of the launch
  std::int32_t count;
  std::int32_t groups;
};

/// Neighbouring positions of a thread.
template <int Wide>
struct Positions {
  float x[Wide] = {};
};

/// That no one writes while the kernel runs.
template <int Wide>
HEADSPARK_DEVICE Positions<Wide> load_positions(const float* from) {
  if constexpr (Wide == 2) {
    const Two two = load_two(from);
    return {{two.x, two.y}};
  } else {
    return {{load_constant(from)}};
  }
}

template <int Wide>
HEADSPARK_DEVICE Positions<Wide> read_positions(const float* from) {
  if constexpr (Wide == 2) {
    const Two two = read_two(from);
    return {{two.x, two.y}};
  } else {
    return {{from[0]}};
  }
}

template <int Wide>
HEADSPARK_DEVICE void store_positions(float* to, const Positions<Wide>& from) {
  if constexpr (Wide == 2) {
    store_two(to, {from.x[0], from.x[1]});
  } else {
    to[0] = from.x[0];
  }
}

/// The sources of a stretch, one for each thread, that a destination of the block reads, in order.
struct ReadSources {
  SharedArray<int> source;
  SharedArray<unsigned> word;  // bit v: destination v reads it
  SharedArray<int> counts;     // of each warp

  HEADSPARK_DEVICE ReadSources(SharedMemory& memory)
      : source(memory.take<int>(kEdgeSumThreads)),
        word(memory.take<unsigned>(kEdgeSumThreads)),
        counts(memory.take<int>(kEdgeSumWarps)) {}

  /// Lists the sources from `first` on; their number. A barrier is between this and all reading of
  /// the list before.
  HEADSPARK_DEVICE int list(const EdgeSum& p, std::int64_t first_destination, std::int64_t first) {
    const std::int64_t begin = first + warp_index() * 32;
    const unsigned own = own_word(p, first_destination, begin);
    const unsigned used = ballot(own != 0);
    if (lane_index() == 0) counts.store(warp_index(), count_bits(used));
    sync_threads();
    int place = count_bits(used & ((1u << lane_index()) - 1));
    int total = 0;
    for (int warp = 0; warp < kEdgeSumWarps; ++warp) {
      const int count = counts.load(warp);
      if (warp < warp_index()) place += count;
      total += count;
    }
    if (own != 0) {
      source.store(place, static_cast<int>(begin + lane_index()));
      word.store(place, own);
    }
    sync_threads();
    return total;
  }

 private:
  // The word of source begin + lane; a lane reads the bytes of one destination.
  HEADSPARK_DEVICE static unsigned own_word(const EdgeSum& p, std::int64_t first_destination,
                                            std::int64_t begin) {
    const std::int64_t destination = first_destination + lane_index();
    const std::uint8_t* mask = p.mask + begin * p.mask_stride + destination;
    unsigned own = 0;
    HEADSPARK_ROLL
    for (int some = 0; some < 32; some += kAhead) {
      unsigned ahead[kAhead];
      HEADSPARK_UNROLL
      for (int a = 0; a < kAhead; ++a) {
        const bool exists = destination < p.destinations && begin + some + a < p.sources;
        ahead[a] = exists ? mask[(some + a) * p.mask_stride] : 0u;
      }
      HEADSPARK_UNROLL
      for (int a = 0; a < kAhead; ++a) {
        const unsigned word = ballot(ahead[a] != 0);
        if (some + a == lane_index()) own = word;
      }
    }
    return own;
  }
};

template <int Wide>
HEADSPARK_DEVICE void begin_sums(const EdgeSum& p, std::int64_t first, std::int64_t i,
                                 Positions<Wide> (&sum)[kGroupDestinations]) {
  if (p.base != nullptr) {
    const Positions<Wide> base = load_positions<Wide>(p.base + i);
    HEADSPARK_UNROLL
    for (int v = 0; v < kGroupDestinations; ++v) sum[v] = base;
    return;
  }
  HEADSPARK_UNROLL
  for (int v = 0; v < kGroupDestinations; ++v) {
    if (first + v < p.destinations)
      sum[v] = read_positions<Wide>(p.y + (first + v) * p.y_stride + i);
  }
}

template <int Wide>
HEADSPARK_DEVICE void add_source(unsigned word, const Positions<Wide>& difference,
                                 Positions<Wide> (&sum)[kGroupDestinations]) {
  HEADSPARK_UNROLL
  for (int some = 0; some < kGroupDestinations; some += kByte) {
    if ((word >> some & ((1u << kByte) - 1)) == 0) continue;
    HEADSPARK_UNROLL
    for (int v = some; v < some + kByte; ++v) {
      if ((word >> v & 1u) == 0) continue;
      HEADSPARK_UNROLL
      for (int w = 0; w < Wide; ++w) sum[v].x[w] += difference.x[w];
    }
  }
}

template <int Wide>
HEADSPARK_KERNEL(kEdgeSumThreads, 4)
edge_sum_kernel(EdgeSumsKernel kernel) {
  const int group = block_x() % kernel.groups;
  int which = 0;
  while (which + 1 < kernel.count && kernel.first_group[which + 1] <= group) ++which;
  const EdgeSum& p = kernel.each[which];
  const auto first =
      static_cast<std::int64_t>(group - kernel.first_group[which]) * kGroupDestinations;
  const auto block = static_cast<std::int64_t>(block_x() / kernel.groups);
  const std::int64_t position = (block * kEdgeSumThreads + thread_index()) * Wide;
  const bool exists = position < p.length;
  std::int64_t i = position;
  if (p.index != nullptr && exists) {
    i = p.index[position / p.width] * p.width + position % p.width;
  }

  Positions<Wide> sum[kGroupDestinations];
  if (exists) begin_sums<Wide>(p, first, i, sum);
  SharedMemory memory;
  ReadSources sources(memory);
  for (std::int64_t u = 0; u < p.sources; u += kEdgeSumThreads) {
    const int count = sources.list(p, first, u);
    HEADSPARK_ROLL
    for (int s = 0; s < count; s += kAhead) {
      Positions<Wide> ahead[kAhead];
      HEADSPARK_UNROLL
      for (int a = 0; a < kAhead; ++a) {
        if (!exists || s + a >= count) continue;
        ahead[a] = load_positions<Wide>(p.difference +
                                        sources.source.load(s + a) * p.difference_stride + i);
      }
      HEADSPARK_UNROLL
      for (int a = 0; a < kAhead; ++a) {
        if (s + a < count) add_source<Wide>(sources.word.load(s + a), ahead[a], sum);
      }
    }
  }
  HEADSPARK_UNROLL
  for (int v = 0; v < kGroupDestinations; ++v) {
    if (!exists || first + v >= p.destinations) continue;
    store_positions<Wide>(p.y + (first + v) * p.y_stride + i, sum[v]);
  }
}

/// Whether positions may be read in pairs.
bool in_pairs(const EdgeSum& p) {
  return (p.index == nullptr ? p.length : p.width) % 2 == 0 && p.difference_stride % 2 == 0 &&
         p.y_stride % 2 == 0 && aligned_to(8, p.difference) && aligned_to(8, p.base) &&
         aligned_to(8, p.y);
}

/// Sums of the same differences, at most kMostEdgeSums.
void launch_sums(Stream stream, std::span<const EdgeSum> sums) {
  EdgeSumsKernel kernel{};
  for (const EdgeSum& sum : sums) {
    kernel.each[kernel.count] = sum;
    kernel.first_group[kernel.count++] = kernel.groups;
    kernel.groups += blocks_for(sum.destinations, kGroupDestinations);
  }
  const bool pairs = std::all_of(sums.begin(), sums.end(), in_pairs);
  const std::int64_t blocks = blocks_for(sums.front().length, kEdgeSumThreads * (pairs ? 2 : 1));
  const LaunchShape shape{{blocks_for(blocks * kernel.groups, 1)},
                          kEdgeSumThreads,
                          (2 * kEdgeSumThreads + kEdgeSumWarps) * static_cast<int>(sizeof(int))};
  launch(stream, shape, pairs ? &edge_sum_kernel<2> : &edge_sum_kernel<1>, kernel);
}

}  // namespace

void edge_sum_cuda(const Context& context, std::span<const EdgeSum> sums) {
  for_same_differences(sums, [&](std::span<const EdgeSum> same) {
    for (std::size_t begin = 0; begin < same.size(); begin += kMostEdgeSums) {
      const std::size_t count = std::min<std::size_t>(kMostEdgeSums, same.size() - begin);
      launch_sums(op_device(context).stream(), same.subspan(begin, count));
    }
  });
}

}  // namespace headspark
