// The attribution methods without gradients, and how every method cuts pairs into micro-batches.
#pragma once

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "headspark/attribution.h"

namespace headspark {

AttributionResult flow_attribution(const Engine& engine, std::span<const Pair> pairs,
                                   const AttributionOptions& options, const RunControl& control);

AttributionResult exact_attribution(const Engine& engine, std::span<const Pair> pairs,
                                    const AttributionOptions& options, const RunControl& control);

/// Tokens of a micro-batch, where the options do not name them. Two threads of a CPU gain nothing
/// from more than 512, while the activations leave the caches and the memory grows; many threads
/// need rows for each, or they wait for each other more often than they compute. A GPU is full with
/// thousands only: 8192 rows by a matrix of 1536 columns are 768 tiles of 128 x 128, for some 130
/// multiprocessors. (Counted, not measured.)
inline constexpr std::int64_t kBatchTokens = 512;
inline constexpr std::int64_t kThreadTokens = 128;
inline constexpr std::int64_t kGpuBatchTokens = 8192;

/// Tokens of a micro-batch that pay on the engine's device, whatever the memory holds.
inline std::int64_t paying_batch_tokens(const Engine& engine) {
  if (engine.options.batch_tokens > 0) return engine.options.batch_tokens;
  if (!engine.context.on_cpu()) return kGpuBatchTokens;
  return std::max(kBatchTokens, kThreadTokens * engine.context.threads->threads());
}

/// Fed tokens of the longest pair.
std::int64_t longest_pair(std::span<const Pair> pairs);

/// What one own token of a pair costs: fp32 values of workspace, and rows it stands in.
struct TokenCost {
  std::int64_t floats = 0;
  std::int64_t copies = 1;
  bool share_prefix = true;  ///< the method can use shared prefixes at all
};

/// Whether the memory budget holds all pairs, or a micro-batch of the size that pays.
bool fits_full_batches(const Engine& engine, std::span<const Pair> pairs, Metric metric,
                       const TokenCost& cost);

/// Ranges of pairs that fit the engine's memory budget and keep a micro-batch at a size where
/// weights are read often enough (engine.options.batch_tokens).
std::vector<std::pair<std::size_t, std::size_t>> plan_pairs(const Engine& engine,
                                                            std::span<const Pair> pairs,
                                                            Metric metric, const TokenCost& cost);

/// Own tokens of the largest of these ranges.
std::int64_t largest_block(const Engine& engine, std::span<const Pair> pairs, Metric metric,
                           std::span<const std::pair<std::size_t, std::size_t>> ranges);

}  // namespace headspark
