// The next token from one row of logits: what sample_rows does to each of its rows.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/isa.h"
#include "headspark/ops/sample_rows.h"

namespace headspark {

/// A token that the filters leave, with its share of the probability that is left.
struct Candidate {
  std::int32_t token = 0;
  double probability = 0.0;
};

/// The distribution that a token is drawn from: likeliest first (ties: the smaller id first) when
/// top_k, top_p or min_p cut it, by id otherwise. `logits` [vocab] are changed by the penalty;
/// `seen` are the tokens of prompt and continuation, in any order. Not for temperature 0.
std::vector<Candidate> token_distribution(Isa isa, const SamplingOptions& options,
                                          std::span<const std::int32_t> seen,
                                          std::span<float> logits);

/// Draw number `index` under `seed`, or the largest logit at temperature 0. NaN counts as the
/// smallest logit of all.
struct TokenDraw {
  SamplingOptions options;
  std::uint64_t seed = 0;
  std::uint64_t index = 0;
  std::span<const std::int32_t> seen;  ///< only read with a repetition penalty
  bool log_prob = false;
};
DrawnToken sample_token(Isa isa, const TokenDraw& draw, std::span<float> logits);

}  // namespace headspark
