// Everything a pair must satisfy before any work starts.
#include <algorithm>
#include <string>

#include "engine/pair_block.h"
#include "headspark/error.h"

namespace headspark {
namespace {

[[noreturn]] void refuse(std::size_t index, const std::string& problem) {
  throw Error(ErrorCode::PAIR_FORMAT, "Pair " + std::to_string(index) + " " + problem);
}

void check_tokens(const Engine& engine, std::size_t index, const char* field,
                  std::span<const std::int32_t> tokens) {
  for (const std::int32_t token : tokens) {
    if (token < 0 || token >= engine.config().vocab) {
      refuse(index, std::string("has token ") + std::to_string(token) + " in `" + field +
                        "`, outside the vocabulary of " + std::to_string(engine.config().vocab) +
                        " tokens; use ids of this model's tokenizer.");
    }
  }
}

void check_targets(std::size_t index, const Pair& pair, Metric metric) {
  if (metric == Metric::nll) {
    if (pair.continuation.empty()) refuse(index, "has no `continuation`, which metric nll needs.");
    return;
  }
  if (!pair.continuation.empty()) {
    refuse(index, "has a `continuation`, which only metric nll reads; remove it or use nll.");
  }
  if (metric == Metric::kl) return;
  if (pair.correct.empty()) refuse(index, "has no `correct` token.");
  if (pair.incorrect.empty()) refuse(index, "has no `incorrect` token.");
}

}  // namespace

void check_pairs(const Engine& engine, std::span<const Pair> pairs, Metric metric) {
  if (pairs.empty()) throw Error(ErrorCode::PAIR_FORMAT, "There are no pairs; give at least one.");
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const Pair& pair = pairs[i];
    if (pair.clean.size() != pair.corrupted.size()) {
      throw Error(ErrorCode::PAIR_LENGTH,
                  "Pair " + std::to_string(i) + " has " + std::to_string(pair.clean.size()) +
                      " clean and " + std::to_string(pair.corrupted.size()) +
                      " corrupted tokens; both prompts need the same length.");
    }
    if (pair.clean.empty()) refuse(i, "is empty; both prompts need at least one token.");
    const auto fed = static_cast<std::int64_t>(pair.clean.size() + pair.continuation.size());
    if (fed > engine.config().max_positions) {
      refuse(i, "has " + std::to_string(fed) + " tokens, more than the " +
                    std::to_string(engine.config().max_positions) + " positions of the model.");
    }
    check_targets(i, pair, metric);
    check_tokens(engine, i, "clean", pair.clean);
    check_tokens(engine, i, "corrupted", pair.corrupted);
    check_tokens(engine, i, "correct", pair.correct);
    check_tokens(engine, i, "incorrect", pair.incorrect);
    check_tokens(engine, i, "continuation", pair.continuation);
  }
}

std::span<const Pair> pairs_in(std::span<const Pair> pairs, const PairRange& range) {
  const auto count = static_cast<std::int64_t>(pairs.size());
  const std::int64_t end = range.end < 0 ? count : range.end;
  if (range.begin < 0 || range.begin >= end || end > count) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "Pairs " + std::to_string(range.begin) + " to " +
                                                 std::to_string(end) + " are not among " +
                                                 std::to_string(count) + ".");
  }
  return pairs.subspan(static_cast<std::size_t>(range.begin),
                       static_cast<std::size_t>(end - range.begin));
}

std::vector<std::int32_t> fed_tokens(const Pair& pair, bool corrupted) {
  std::vector<std::int32_t> tokens = corrupted ? pair.corrupted : pair.clean;
  if (!pair.continuation.empty()) {
    tokens.insert(tokens.end(), pair.continuation.begin(), pair.continuation.end() - 1);
  }
  return tokens;
}

std::int32_t shared_prefix(const Pair& pair, Metric metric) {
  const auto fed = static_cast<std::int32_t>(
      pair.clean.size() + (pair.continuation.empty() ? 0 : pair.continuation.size() - 1));
  const std::int32_t limit = fed - supervised_length(pair, metric);
  const auto first =
      std::mismatch(pair.clean.begin(), pair.clean.end(), pair.corrupted.begin()).first;
  return std::min(limit, static_cast<std::int32_t>(first - pair.clean.begin()));
}

std::vector<std::pair<std::size_t, std::size_t>> cut_pairs(std::span<const std::int32_t> tokens,
                                                           std::int64_t max_tokens) {
  std::vector<std::pair<std::size_t, std::size_t>> ranges;
  std::size_t begin = 0;
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (i > begin && sum + tokens[i] > max_tokens) {
      ranges.emplace_back(begin, i);
      begin = i;
      sum = 0;
    }
    sum += tokens[i];
  }
  if (begin < tokens.size()) ranges.emplace_back(begin, tokens.size());
  return ranges;
}

}  // namespace headspark
