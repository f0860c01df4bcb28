// The attribution methods without gradients, and how every method cuts pairs into micro-batches.
#pragma once

#include <span>
#include <utility>
#include <vector>

#include "headspark/attribution.h"

namespace headspark {

AttributionResult flow_attribution(const Engine& engine, std::span<const Pair> pairs,
                                   const AttributionOptions& options, const RunControl& control);

AttributionResult exact_attribution(const Engine& engine, std::span<const Pair> pairs,
                                    const AttributionOptions& options, const RunControl& control);

/// Tokens of a micro-batch. Beyond about a thousand rows a GEMM gains nothing from more, while the
/// activations leave the caches and the memory grows.
inline constexpr std::int64_t kBatchTokens = 512;

/// Fed tokens of the longest pair.
std::int64_t longest_pair(std::span<const Pair> pairs);

/// What one own token of a pair costs: fp32 values of workspace, and rows it stands in.
struct TokenCost {
  std::int64_t floats = 0;
  std::int64_t copies = 1;
  bool share_prefix = true;  ///< the method can use shared prefixes at all
};

/// Whether the memory budget holds a micro-batch of the size that pays.
bool fits_full_batches(const Engine& engine, const TokenCost& cost);

/// Ranges of pairs that fit the engine's memory budget and keep a micro-batch at a size where
/// weights are read often enough (engine.options.batch_tokens).
std::vector<std::pair<std::size_t, std::size_t>> plan_pairs(const Engine& engine,
                                                            std::span<const Pair> pairs,
                                                            Metric metric, const TokenCost& cost);

/// Own tokens of the largest of these ranges.
std::int64_t largest_block(const Engine& engine, std::span<const Pair> pairs, Metric metric,
                           std::span<const std::pair<std::size_t, std::size_t>> ranges);

}  // namespace headspark
