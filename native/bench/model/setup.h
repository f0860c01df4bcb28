// A loaded checkpoint with the pairs to run on it: what the model benchmarks share.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "common/report.h"
#include "headspark/attribution.h"
#include "headspark/sweep.h"

namespace headspark::bench {

struct Setup {
  Options options;
  Engine engine;         // the kernels of this run
  Engine specification;  // the readable ops, on few tokens
  std::vector<Pair> pairs;
  std::vector<Pair> paper_pairs;  // empty without --paper-pairs

  const ModelConfig& config() const { return engine.config(); }
  Budget budget() const;
};

/// Loads options.folders[0] and the pairs. Errors: those of load_model and read_pairs.
Setup make_setup(const Options& options);

/// The same with the adapter of options.adapter loaded. Errors: those of with_adapter.
Setup adapted(const Setup& base);

/// The last `tokens` tokens of the first pair: small enough for the specification.
std::vector<Pair> small_pairs(const Setup& setup, std::size_t tokens);

/// `count` prompt tokens of the setup's pairs, one after the other.
std::vector<std::int32_t> long_prompt(const Setup& setup, std::size_t count);

/// One variant per head of the model, zero-ablated, at most `most` (0: all of them).
std::vector<AblationVariant> single_heads(const ModelConfig& config, std::size_t most = 0);

/// Masks with the edges of the largest |score| of a quick attribution, one per size.
std::vector<std::uint8_t> circuits_of_sizes(const Setup& setup,
                                            const std::vector<std::int64_t>& sizes);

void bench_loading(Report& report, const Options& options);
void bench_workloads(Report& report, const Setup& setup);
void bench_ratios(Report& report, const Setup& setup);
/// What --adapter costs; nothing without one.
void bench_adapter(Report& report, const Setup& setup);
void bench_scaling(Report& report, const Setup& setup);

}  // namespace headspark::bench
