// What the suites of the generator share: small models, requests of every kind, runs of them, and
// the next token by a plain forward pass.
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/engine.h"
#include "headspark/generate.h"
#include "headspark/isa.h"

namespace headspark::test {

/// A golden checkpoint of test/fixtures/reference on the best kernels here, or on those of a level.
Engine engine_for(const char* name, int threads = 2);
Engine engine_for(const char* name, int threads, Isa isa);

/// Clean prompts of the reference pairs.
std::vector<std::vector<std::int32_t>> prompts(std::size_t count);

struct Outcome {
  std::vector<std::int32_t> tokens;
  std::vector<float> margins;
  Finish finish = Finish::none;
  bool operator==(const Outcome&) const = default;
};

struct Run {
  std::vector<Outcome> outcomes;
  GenerationStats stats;
};

/// All requests, added `at_once` at a time between steps.
Run run_requests(const Engine& engine, const std::vector<GenerationRequest>& requests,
                 const GenerationOptions& options, std::size_t at_once = 1000000);

/// Different prompts, lengths, gates, positions and ways of sampling; several samples of each.
std::vector<GenerationRequest> many_requests(std::size_t count);

/// Memory for about this many pages (half of a small budget is for pages).
std::int64_t budget_of(const Engine& engine, std::int64_t pages);

/// How a sequence is gated at its positions [begin, end).
struct PlainGates {
  std::vector<GatedHead> heads;
  std::int32_t begin = 0;
  std::int32_t end = 1000;
  std::vector<float> table;  ///< [layers, rows, heads, head_dim]; empty: zero
  ReplacementRun run;
};

struct Next {
  std::int32_t token = 0;
  float margin = 0.0f;
};

/// The next token and its margin by a forward pass over the whole sequence: attention over
/// contiguous keys, no cache, no scheduler, and the replacement written out position by position.
Next plain_next(const Engine& engine, const std::vector<std::int32_t>& tokens,
                const PlainGates& gates);

}  // namespace headspark::test
