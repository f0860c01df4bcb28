// One token per row of logits, a block per row; only 12 bytes of a row ever leave the device.
//
// The logits were written by the head just before (4 bytes per token of the vocabulary; 256 rows of
// 151,936 are 156 MB, 64 rows stay in the L2 of an H100). Of each row this reads, in bytes per
// token: greedily 4, the largest two in one pass. For a draw 4 more, and writes 4: tempered logits
// take the place of logits, weights are summed. A log probability reads 4 before that. Top-k, top-p
// and min-p read 4 once more to list the tokens above a threshold, and 4 for each step that the
// threshold falls below the first. Where more than kList tokens are above it, 8 for each filter and
// for the draw (select).
//
// The arithmetic is that of ops/sampling.cc: the same weights, the same sums of blocks, and sums of
// lists that are exact in double, so that their order is free: weights of at least 2^-7 are
// multiples of 2^-30, and 2^23 of them fit 53 bits. Lower thresholds (2^-14: 2^16 tokens) may round
// in the last bit.
#include "cuda/op_device.h"
#include "cuda/sampling_select.h"
#include "ops/backends.h"
#include "ops/check.h"
#include "ops/philox.h"

namespace headspark {
namespace {

using namespace cuda;

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
  sort_keys(count, memory);
  for (int i = thread_index(); i < count; i += kSampleThreads) {
    memory.weights.store(i, sampling_weight(row.value_of(memory.keys.load(i))));
  }
  sync_threads();
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
  run_weights(kept, memory);
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
    run_weights(kept, memory);
  }
  const double all = memory.running.load(kept - 1);
  const double target = draw.uniform() * all;
  int place = first_place(0, kept, memory, [&](int i) { return memory.running.load(i) > target; });
  if (place == kept) {
    place = first_place(0, kept, memory, [&](int i) { return memory.running.load(i) >= all; });
  }
  return row.token_of(memory.keys.load(place));
}

HEADSPARK_DEVICE int draw_from_row(const TemperedRow& row, const FilteredDraw& draw,
                                   const Reaching& found, const BlockMemory& memory) {
  const SamplingOptions& options = draw.options();
  Kept kept{~std::uint64_t{0}, found.threshold, found.floor};
  double total = draw.total;
  if (options.top_k > 0) {
    const double count = options.top_k;
    const Selected selected =
        select<true>(row, kept, memory, [&](double sum) { return sum >= count; });
    kept.last = selected.last | ((std::uint64_t{1} << row.id_bits) - 1);  // ties of the last stay
    total = weight_of(row, kept, memory.warps);
  }
  double left = -1.0;  // the weight of what is left, where it is known
  if (options.top_p < 1.0f) {
    const double share = static_cast<double>(options.top_p) * total;
    const Selected selected =
        select<false>(row, kept, memory, [&](double sum) { return sum >= share; });
    kept.last = selected.last;
    left = selected.sum;
  }
  if (options.min_p > kept.least) {
    kept.least = options.min_p;
    left = -1.0;
  }
  if (left < 0.0) left = weight_of(row, kept, memory.warps);
  const double target = draw.uniform() * left;
  const Selected drawn = select<false>(row, kept, memory, [&](double sum) { return sum > target; });
  return row.token_of(drawn.last);
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
  DrawnToken result{likeliest, kNoMargin, kNoLogProb};
  const TemperedRow row{logits, p.vocab, p.id_bits};
  if (draw.log_prob) {
    const double all = weight_of_all(row, two.first, memory.warps);
    // Of the likeliest token; it lies there, since nobody has a register to spare.
    if (thread_index() == 0) p.drawn[block_x()].log_prob = static_cast<float>(-logarithm(all));
  }
  if (draw.options.temperature == 0.0f) {
    result.margin = two.first == two.second ? 0.0f : two.first - two.second;
  } else {
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
  if (thread_index() != 0) return;
  if (draw.log_prob) {
    const float temperature = draw.options.temperature;
    const float below = temperature == 0.0f ? 0.0f : row.x[result.token] * temperature;
    result.log_prob = below + p.drawn[block_x()].log_prob;
    if (result.log_prob > 0.0f) result.log_prob = 0.0f;
  }
  p.drawn[block_x()] = result;
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
