// One token per row of logits, a block per row; only 8 bytes of a row ever leave the device.
//
// The logits were written by the head just before (4 bytes per token of the vocabulary; 256 rows of
// 151,936 are 156 MB, 64 rows stay in the L2 of an H100). Of each row this reads, in bytes per
// token: greedily 4, the largest two in one pass. For a draw 4 more, and writes 4: tempered logits
// take the place of logits, weights are summed. Top-k, top-p and min-p read 4 once more to list the
// tokens above a threshold, and 4 for each step that the threshold falls below the first. Where
// more than kList tokens are above it, 4 for every two bits of a key (select).
//
// The arithmetic is that of ops/sampling.cc: the same weights, the same sums of blocks, and sums of
// lists that are exact in double, so that their order is free: weights of at least 2^-7 are
// multiples of 2^-30, and 2^23 of them fit 53 bits. Lower thresholds (2^-14: 2^16 tokens) may round
// in the last bit.
#include "cuda/op_device.h"
#include "cuda/sampling_row.h"
#include "ops/backends.h"
#include "ops/check.h"
#include "ops/philox.h"

namespace headspark {
namespace {

using namespace cuda;

constexpr int kList = 2048;  // tokens that are sorted in shared memory

struct SampleKernel {
  int vocab;
  int id_bits;
  int places;  // of running sums
  std::int64_t stride;
  float* logits;
  const RowDraw* draws;
  const std::int32_t* seen;
  DrawnToken* drawn;
};

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

// A token is there once, so no two threads meet.
HEADSPARK_DEVICE void penalize(const RowDraw& draw, const std::int32_t* seen, float* logits) {
  const float penalty = draw.options.repetition_penalty;
  if (penalty == 1.0f) return;
  for (int i = thread_index(); i < draw.seen_count; i += kSampleThreads) {
    float& score = logits[seen[draw.seen_begin + i]];
    score = score < 0.0f ? score * penalty : score / penalty;
  }
}

// By id over the whole vocabulary: the block in which the running sum passes the target, then its
// tokens one by one.
HEADSPARK_DEVICE int draw_by_id(const TemperedRow& row, double uniform, int likeliest,
                                const BlockMemory& memory) {
  const int last = row.blocks() - 1;
  const double target = uniform * memory.running.load(row.blocks());
  int block = last;
  for (int i = thread_index(); i < last; i += kSampleThreads) {
    if (memory.running.load(i + 1) > target && i < block) block = i;
  }
  block = block_smallest(block, memory.warps);
  double sum = memory.running.load(block);
  int likely = -1;
  for (; block <= last; ++block) {
    for (int i = thread_index(); i < kSumBlock; i += kSampleThreads) {
      const int token = block * kSumBlock + i;
      memory.weights.store(i, token < row.vocab ? sampling_weight(row.x[token]) : 0.0f);
    }
    sync_threads();
    int drawn = 0x7fffffff;
    if (thread_index() == 0) {
      for (int i = 0; i < kSumBlock; ++i) {
        const float weight = memory.weights.load(i);
        if (weight > 0.0f) likely = block * kSumBlock + i;
        sum += static_cast<double>(weight);
        if (sum > target) {
          drawn = block * kSumBlock + i;
          break;
        }
      }
    }
    drawn = block_smallest(drawn, memory.warps);
    if (drawn != 0x7fffffff) return drawn;
  }
  return likely >= 0 ? likely : likeliest;  // thread 0 knows, and it writes the token
}

// The keys of the tokens that reach the threshold, sorted, and their weights.
HEADSPARK_DEVICE void list_tokens(const TemperedRow& row, const Reaching& found,
                                  const BlockMemory& memory) {
  const int count = static_cast<int>(found.count);
  int place = block_sum_before(found.own, memory.warps);
  if (found.own > 0) {
    for_own_tokens(row, [&](int token, float x) {
      if (x < found.floor || !(sampling_weight(x) >= found.threshold)) return;
      memory.keys.store(place++, row.key(token, x));
    });
  }
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
  for (int i = thread_index(); i < count; i += kSampleThreads) {
    memory.weights.store(i, sampling_weight(row.value_of(memory.keys.load(i))));
  }
  sync_threads();
}

// running[i]: the weight of the list's tokens up to i, in 64 pieces.
HEADSPARK_DEVICE void run_sums(int count, const BlockMemory& memory) {
  constexpr int pieces = 64;
  const int length = (count + pieces - 1) / pieces;
  const int begin = thread_index() * length;
  const int end = begin + length < count ? begin + length : count;
  double sum = 0.0;
  if (thread_index() < pieces) {
    for (int i = begin; i < end; ++i) sum += static_cast<double>(memory.weights.load(i));
    memory.warps.sums.store(thread_index(), sum);
  }
  sync_threads();
  if (thread_index() < pieces) {
    double before = 0.0;
    for (int piece = 0; piece < thread_index(); ++piece) before += memory.warps.sums.load(piece);
    sum = 0.0;
    for (int i = begin; i < end; ++i) {
      sum += static_cast<double>(memory.weights.load(i));
      memory.running.store(i, before + sum);
    }
  }
  sync_threads();
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

struct FilteredDraw {
  const RowDraw& row;
  double total;  ///< of the row's weights

  HEADSPARK_DEVICE const SamplingOptions& options() const { return row.options; }
  HEADSPARK_DEVICE double uniform() const { return philox_uniform(row.seed, row.index); }
};

HEADSPARK_DEVICE int draw_from_list(const TemperedRow& row, const FilteredDraw& draw,
                                    const Reaching& found, const BlockMemory& memory) {
  list_tokens(row, found, memory);
  const SamplingOptions& options = draw.options();
  int kept = static_cast<int>(found.count);
  if (options.top_k > 0 && options.top_k < kept) {  // ties of the last stay
    const float lowest = row.value_of(memory.keys.load(options.top_k - 1));
    kept = first_place(options.top_k, kept, memory,
                       [&](int i) { return row.value_of(memory.keys.load(i)) != lowest; });
  }
  run_sums(kept, memory);
  if (options.top_p < 1.0f) {
    const double total = options.top_k > 0 ? memory.running.load(kept - 1) : draw.total;
    const double share = static_cast<double>(options.top_p) * total;
    const int reached =
        first_place(0, kept, memory, [&](int i) { return memory.running.load(i) >= share; });
    kept = reached < kept ? reached + 1 : kept;
  }
  if (options.min_p > 0.0f) {  // of the likeliest token's weight, which is 1
    for (int i = thread_index(); i < kept; i += kSampleThreads) {
      if (memory.weights.load(i) < options.min_p) memory.weights.store(i, 0.0f);
    }
    sync_threads();
    run_sums(kept, memory);
  }
  const double all = memory.running.load(kept - 1);
  const double target = draw.uniform() * all;
  int place = first_place(0, kept, memory, [&](int i) { return memory.running.load(i) > target; });
  if (place == kept) {
    place = first_place(0, kept, memory, [&](int i) { return memory.running.load(i) >= all; });
  }
  return row.token_of(memory.keys.load(place));
}

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

// The smallest key up to which the weights (or, counted, the tokens) sum to what `reached` asks
// for, or the last of all. By two bits of the key at a time, each a pass over the row: for flat
// distributions, whose thousands of tokens do not fit shared memory. (Three bits would take eight
// sums per thread, which do not fit the registers of two blocks.)
template <bool Counted, typename Reached>
HEADSPARK_DEVICE std::uint64_t select(const TemperedRow& row, const Kept& kept,
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
  return prefix;
}

HEADSPARK_DEVICE int draw_from_row(const TemperedRow& row, const FilteredDraw& draw,
                                   const Reaching& found, const BlockMemory& memory) {
  const SamplingOptions& options = draw.options();
  Kept kept{~std::uint64_t{0}, found.threshold, found.floor};
  double total = draw.total;
  if (options.top_k > 0) {
    const double count = options.top_k;
    const std::uint64_t key =
        select<true>(row, kept, memory.warps, [&](double sum) { return sum >= count; });
    kept.last = key | ((std::uint64_t{1} << row.id_bits) - 1);  // ties of the last stay
    total = weight_of(row, kept, memory.warps);
  }
  if (options.top_p < 1.0f) {
    const double share = static_cast<double>(options.top_p) * total;
    kept.last = select<false>(row, kept, memory.warps, [&](double sum) { return sum >= share; });
  }
  if (options.min_p > kept.least) kept.least = options.min_p;
  const double target = draw.uniform() * weight_of(row, kept, memory.warps);
  return row.token_of(
      select<false>(row, kept, memory.warps, [&](double sum) { return sum > target; }));
}

// Two blocks on a multiprocessor: 256 rows run at once on 132.
HEADSPARK_KERNEL(kSampleThreads, 2)
sample_rows_kernel(SampleKernel p) {
  const RowDraw& draw = p.draws[block_x()];
  float* logits = p.logits + block_x() * p.stride;
  const BlockMemory memory(SharedMemory{}, p.places);
  penalize(draw, p.seen, logits);
  sync_threads();
  const LargestTwo two = largest_two(logits, p.vocab, memory.largest);
  const int likeliest = two.index < p.vocab ? two.index : 0;
  DrawnToken result{likeliest, kNoMargin};
  if (draw.options.temperature == 0.0f) {
    result.margin = two.first == two.second ? 0.0f : two.first - two.second;
  } else {
    const TemperedRow row{logits, p.vocab, p.id_bits};
    Reaching found =
        temper(row, {two.first, draw.options.temperature}, memory.running, memory.warps);
    if (!has_filter(draw.options)) {
      result.token = draw_by_id(row, philox_uniform(draw.seed, draw.index), likeliest, memory);
    } else {
      const FilteredDraw filtered{draw, memory.running.load(row.blocks())};
      while (!enough(draw.options, found.threshold, found.count, found.weight, filtered.total)) {
        found = reaching(row, lower_threshold(found.threshold), memory.warps);
      }
      result.token = found.count <= kList ? draw_from_list(row, filtered, found, memory)
                                          : draw_from_row(row, filtered, found, memory);
    }
  }
  if (thread_index() == 0) p.drawn[block_x()] = result;
}

}  // namespace

void sample_rows_cuda(const Context& context, const SampleRows& params) {
  check_argument(params.vocab <= (1 << 21), "sample_rows",
                 "vocab is past the 2097152 tokens of the CUDA backend; use --device cpu");
  SampleKernel kernel{};
  kernel.vocab = static_cast<int>(params.vocab);
  while ((std::int64_t{1} << kernel.id_bits) < params.vocab) ++kernel.id_bits;
  const int blocks = (kernel.vocab + kSumBlock - 1) / kSumBlock;
  kernel.places = blocks + 1 > kList ? blocks + 1 : kList;
  kernel.stride = params.stride;
  kernel.logits = params.logits;
  kernel.draws = params.draws;
  kernel.seen = params.seen;
  kernel.drawn = params.drawn;
  const LaunchShape shape{
      {blocks_for(params.rows, 1)}, kSampleThreads, BlockMemory::bytes(kernel.places)};
  launch(op_device(context).stream(), shape, &sample_rows_kernel, kernel);
}

}  // namespace headspark
