// Micro-batches: as many pairs as the memory budget holds, but no more tokens than pay.
#include <algorithm>
#include <numeric>
#include <string>

#include "device/memory_text.h"
#include "engine/methods.h"
#include "engine/pair_block.h"
#include "headspark/error.h"

namespace headspark {
namespace {

/// Tokens of each pair that are computed for itself: those after the shared prefix, where the
/// method can share it.
std::vector<std::int32_t> own_tokens(const Engine& engine, std::span<const Pair> pairs,
                                     Metric metric, bool can_share) {
  const bool shared = can_share && engine.options.share_prefix;
  std::vector<std::int32_t> own;
  for (const Pair& pair : pairs) {
    const auto fed = static_cast<std::int32_t>(fed_tokens(pair, false).size());
    own.push_back(fed - (shared ? shared_prefix(pair, metric) : 0));
  }
  return own;
}

/// Own tokens of a micro-batch: of the size that pays, and of what the memory budget holds.
struct BatchTokens {
  std::int64_t wanted = 0;
  std::int64_t by_memory = 0;
};

BatchTokens batch_tokens(const Engine& engine, const TokenCost& cost) {
  const std::int64_t rows = paying_batch_tokens(engine);
  const std::int64_t bytes = cost.floats * static_cast<std::int64_t>(sizeof(float));
  return {rows / cost.copies, engine.options.memory_bytes / bytes};
}

/// One pair must fit: a run that swaps is worse than one that says what it needs.
void check_longest(const Engine& engine, std::int32_t tokens, const TokenCost& cost) {
  const std::int64_t needed = 4 * cost.floats * tokens;
  if (needed <= engine.options.memory_bytes) return;
  throw Error(ErrorCode::OUT_OF_MEMORY,
              "A pair of " + std::to_string(tokens) + " tokens needs " + memory_text(needed) +
                  " of workspace, more than the memory budget of " +
                  memory_text(engine.options.memory_bytes) +
                  "; raise the budget (memoryBytes, --memory) or shorten the pair.");
}

}  // namespace

std::int64_t longest_pair(std::span<const Pair> pairs) {
  std::size_t longest = 0;
  for (const Pair& pair : pairs) {
    longest = std::max(longest, pair.clean.size() + pair.continuation.size());
  }
  return static_cast<std::int64_t>(longest);
}

bool fits_full_batches(const Engine& engine, std::span<const Pair> pairs, Metric metric,
                       const TokenCost& cost) {
  const BatchTokens tokens = batch_tokens(engine, cost);
  const std::vector<std::int32_t> own = own_tokens(engine, pairs, metric, cost.share_prefix);
  const std::int64_t all = std::accumulate(own.begin(), own.end(), std::int64_t{0});
  return tokens.by_memory >= std::min(tokens.wanted, all);
}

std::vector<std::pair<std::size_t, std::size_t>> plan_pairs(const Engine& engine,
                                                            std::span<const Pair> pairs,
                                                            Metric metric, const TokenCost& cost) {
  const std::vector<std::int32_t> own = own_tokens(engine, pairs, metric, cost.share_prefix);
  const BatchTokens tokens = batch_tokens(engine, cost);
  check_longest(engine, *std::max_element(own.begin(), own.end()), cost);
  return cut_pairs(own, std::max<std::int64_t>(1, std::min(tokens.wanted, tokens.by_memory)));
}

std::int64_t largest_block(const Engine& engine, std::span<const Pair> pairs, Metric metric,
                           std::span<const std::pair<std::size_t, std::size_t>> ranges) {
  const std::vector<std::int32_t> own = own_tokens(engine, pairs, metric, true);
  std::int64_t largest = 0;
  for (const auto& [begin, end] : ranges) {
    largest = std::max(
        largest, std::accumulate(own.begin() + static_cast<std::ptrdiff_t>(begin),
                                 own.begin() + static_cast<std::ptrdiff_t>(end), std::int64_t{0}));
  }
  return largest;
}

}  // namespace headspark
