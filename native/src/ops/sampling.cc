// Weights are e^(x - largest) in fp32 by the level's kernels, sums in double and in a fixed order.
// Sorting a vocabulary would cost more than the model's head, so only tokens above a threshold are
// looked at, the threshold falls until some filter is sure to need no more, and of what is left
// only the neighbourhood is sorted in which a filter cuts or the draw falls.
#include "ops/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "cpu/kernel_table.h"
#include "headspark/error.h"
#include "ops/philox.h"
#include "ops/sampling_filter.h"

namespace headspark {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

void check_range(bool ok, const char* name, double value, const char* expected) {
  if (ok) return;
  throw Error(ErrorCode::INVALID_ARGUMENT, std::string(name) + " is " + std::to_string(value) +
                                               "; it must be " + expected + ".");
}

float largest_of(Isa isa, std::span<const float> x) {
  if (isa != Isa::specification) {
    return kernel_table(isa, Precision::exact)
        .largest(x.data(), static_cast<std::int64_t>(x.size()));
  }
  float largest = kLowest;
  for (const float value : x) {
    if (!(value <= largest)) largest = value;
    if (std::isnan(largest)) return largest;
  }
  return largest;
}

// Replaces NaN, if there is any, and returns the largest.
float clean(Isa isa, std::span<float> logits) {
  const float largest = largest_of(isa, logits);
  if (!std::isnan(largest)) return largest;
  for (float& value : logits) {
    if (std::isnan(value)) value = kLowest;
  }
  return largest_of(isa, logits);
}

// The largest logit minus the second largest: 0 for a tie, infinite where one token is possible.
float margin_of(Isa isa, std::span<const float> x) {
  float two[2] = {kLowest, kLowest};
  if (isa != Isa::specification) {
    kernel_table(isa, Precision::exact)
        .largest_two(x.data(), static_cast<std::int64_t>(x.size()), two);
  } else {
    for (const float value : x) {
      if (value > two[0]) {
        two[1] = two[0];
        two[0] = value;
      } else if (value > two[1]) {
        two[1] = value;
      }
    }
  }
  return two[0] == two[1] ? 0.0f : two[0] - two[1];
}

std::int32_t first_of(std::span<const float> x, float wanted) {
  const auto found = std::find(x.begin(), x.end(), wanted);
  return found == x.end() ? 0 : static_cast<std::int32_t>(found - x.begin());
}

void penalize(float penalty, std::span<const std::int32_t> seen, std::span<float> logits) {
  if (penalty == 1.0f) return;
  static thread_local std::vector<std::int32_t> tokens;
  tokens.assign(seen.begin(), seen.end());
  std::sort(tokens.begin(), tokens.end());
  tokens.erase(std::unique(tokens.begin(), tokens.end()), tokens.end());
  for (const std::int32_t token : tokens) {
    float& score = logits[static_cast<std::size_t>(token)];
    score = score < 0.0f ? score * penalty : score / penalty;
  }
}

// e^(x - offset) of a row, in memory that each thread uses again.
std::vector<float>& exponentials(Isa isa, std::span<const float> x, float offset) {
  static thread_local std::vector<float> weights;
  weights.resize(x.size());
  if (isa != Isa::specification) {
    kernel_table(isa, Precision::exact)
        .exp_range(x.data(), static_cast<std::int64_t>(x.size()), offset, weights.data());
  } else {
    for (std::size_t i = 0; i < x.size(); ++i) weights[i] = std::exp(x[i] - offset);
  }
  return weights;
}

double block_sum(std::span<const float> weights, std::size_t begin) {
  const std::size_t end = std::min(begin + kSumBlock, weights.size());
  double parts[kSumParts] = {};
  std::size_t i = begin;
  for (; i + kSumParts <= end; i += kSumParts) {
    for (std::size_t j = 0; j < kSumParts; ++j) parts[j] += weights[i + j];
  }
  for (; i < end; ++i) parts[0] += weights[i];
  double sum = 0.0;
  for (const double part : parts) sum += part;
  return sum;
}

double sum_of(std::span<const float> weights) {
  double sum = 0.0;
  for (std::size_t begin = 0; begin < weights.size(); begin += kSumBlock) {
    sum += block_sum(weights, begin);
  }
  return sum;
}

// One row's tempered logits and their weights.
struct Row {
  std::span<float> x;
  std::vector<float>& weights;
  double total = 0.0;

  /// `largest` of the logits.
  Row(Isa isa, float temperature, float largest, std::span<float> logits)
      : x(temper(logits, largest, temperature)), weights(exponentials(isa, x, 0.0f)) {
    if (std::isinf(largest)) {
      for (std::size_t i = 0; i < x.size(); ++i) weights[i] = x[i] == largest ? 1.0f : 0.0f;
    }
    total = sum_of(weights);
  }

  // Subtracting first keeps the largest exponent at 0 whatever the temperature; HF divides first,
  // which differs by rounding only.
  static std::span<float> temper(std::span<float> logits, float largest, float temperature) {
    if (std::isinf(largest)) return logits;
    for (float& value : logits) value = (value - largest) / temperature;
    return logits;
  }

  double block_sum(std::size_t begin) const { return headspark::block_sum(weights, begin); }
};

// The logarithm of the sum of e^(x - largest): what a token's probability is a share of.
double log_total(Isa isa, float largest, std::span<const float> x) {
  if (std::isinf(largest)) {
    return std::log(static_cast<double>(std::count(x.begin(), x.end(), largest)));
  }
  return std::log(sum_of(exponentials(isa, x, largest)));
}

// Tokens with at least this weight. Without branches: a flat distribution mispredicts them.
void gather(const Row& row, float threshold, std::vector<std::int32_t>& tokens) {
  tokens.resize(row.weights.size());
  std::size_t count = 0;
  for (std::size_t i = 0; i < row.weights.size(); ++i) {
    tokens[count] = static_cast<std::int32_t>(i);
    count += row.weights[i] >= threshold ? 1 : 0;
  }
  tokens.resize(count);
}

double weight_of(const Row& row, std::int32_t token) {
  return static_cast<double>(row.weights[static_cast<std::size_t>(token)]);
}

// In four chains, which are added at the end.
double weight_of_all(const Row& row, const std::vector<std::int32_t>& tokens) {
  double parts[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= tokens.size(); i += 4) {
    for (std::size_t j = 0; j < 4; ++j) parts[j] += weight_of(row, tokens[i + j]);
  }
  for (; i < tokens.size(); ++i) parts[0] += weight_of(row, tokens[i]);
  return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

bool enough(const Row& row, const SamplingOptions& options, float threshold,
            const std::vector<std::int32_t>& tokens) {
  const double weight = needs_weight(options) ? weight_of_all(row, tokens) : 0.0;
  return enough(options, threshold, static_cast<double>(tokens.size()), weight, row.total);
}

// Likeliest first, ties by id.
struct Likelier {
  const Row& row;
  bool operator()(std::int32_t a, std::int32_t b) const {
    const float x = row.x[static_cast<std::size_t>(a)];
    const float y = row.x[static_cast<std::size_t>(b)];
    return x != y ? x > y : a < b;
  }
};

std::size_t bucket_of(const Row& row, std::int32_t token) {
  return static_cast<std::size_t>(headspark::bucket_of(row.x[static_cast<std::size_t>(token)]));
}

// Where, likeliest first, the sum of weights reaches what `reached` asks for: leaves the tokens up
// to there, that one last and the others in any order. All of them when nothing reaches it.
// A flat distribution keeps thousands of tokens, and sorting them took half of a decoding step; so
// only the bucket is sorted in which the sum crosses.
template <typename Reached>
void keep_until(const Row& row, std::vector<std::int32_t>& tokens, const Reached& reached) {
  static thread_local std::vector<double> sums;
  static thread_local std::vector<std::int32_t> in_bucket;
  sums.assign(kBuckets, 0.0);
  for (const std::int32_t token : tokens) sums[bucket_of(row, token)] += weight_of(row, token);
  double before = 0.0;
  std::size_t crossed = 0;
  while (crossed + 1 < kBuckets && !reached(before + sums[crossed])) before += sums[crossed++];
  in_bucket.resize(tokens.size());
  std::size_t above = 0;
  std::size_t inside = 0;
  for (const std::int32_t token : tokens) {
    const std::size_t bucket = bucket_of(row, token);
    tokens[above] = token;
    in_bucket[inside] = token;
    above += bucket < crossed ? 1 : 0;
    inside += bucket == crossed ? 1 : 0;
  }
  in_bucket.resize(inside);
  tokens.resize(above);
  std::sort(in_bucket.begin(), in_bucket.end(), Likelier{row});
  for (const std::int32_t token : in_bucket) {
    tokens.push_back(token);
    before += weight_of(row, token);
    if (reached(before)) break;
  }
}

// The likeliest top_k tokens; ties of the last stay, as in transformers.
void keep_top_k(const Row& row, std::int64_t top_k, std::vector<std::int32_t>& tokens) {
  const auto count = static_cast<std::size_t>(top_k);
  if (count >= tokens.size()) return;
  const auto last = tokens.begin() + static_cast<std::ptrdiff_t>(count) - 1;
  std::nth_element(tokens.begin(), last, tokens.end(), Likelier{row});
  const float lowest = row.x[static_cast<std::size_t>(*last)];
  tokens.erase(std::remove_if(last + 1, tokens.end(),
                              [&](std::int32_t token) {
                                return row.x[static_cast<std::size_t>(token)] != lowest;
                              }),
               tokens.end());
}

// The tokens that top-k, top-p and min-p leave, in any order.
void filter(const Row& row, const SamplingOptions& options, std::vector<std::int32_t>& tokens) {
  float threshold = kFirstThreshold;
  gather(row, threshold, tokens);
  while (!enough(row, options, threshold, tokens)) {
    threshold = lower_threshold(threshold);
    gather(row, threshold, tokens);
  }
  double total = row.total;
  if (options.top_k > 0) {
    keep_top_k(row, options.top_k, tokens);
    total = weight_of_all(row, tokens);
  }
  if (options.top_p < 1.0f) {
    const double share = static_cast<double>(options.top_p) * total;
    keep_until(row, tokens, [&](double sum) { return sum >= share; });
  }
  if (options.min_p > 0.0f) {
    double largest = 0.0;
    for (const std::int32_t token : tokens) largest = std::max(largest, weight_of(row, token));
    std::erase_if(tokens, [&](std::int32_t token) {
      return weight_of(row, token) < options.min_p * largest;
    });
  }
}

std::int32_t draw_from(const Row& row, std::vector<std::int32_t>& tokens, double uniform) {
  const double target = uniform * weight_of_all(row, tokens);
  keep_until(row, tokens, [&](double sum) { return sum > target; });
  return tokens.back();
}

// By id over the whole vocabulary: whole blocks first.
std::int32_t draw_from_all(const Row& row, double uniform) {
  const double target = uniform * row.total;
  double sum = 0.0;
  std::size_t begin = 0;
  for (; begin + kSumBlock < row.weights.size(); begin += kSumBlock) {
    const double next = sum + row.block_sum(begin);
    if (next > target) break;
    sum = next;
  }
  std::int32_t likely = -1;
  for (std::size_t i = begin; i < row.weights.size(); ++i) {
    if (row.weights[i] > 0.0f) likely = static_cast<std::int32_t>(i);
    sum += row.weights[i];
    if (sum > target) return static_cast<std::int32_t>(i);
  }
  return likely >= 0 ? likely : first_of(row.x, 0.0f);
}

std::int32_t drawn_from(const Row& row, const TokenDraw& draw) {
  const double uniform = philox_uniform(draw.seed, draw.index);
  if (!has_filter(draw.options)) return draw_from_all(row, uniform);
  static thread_local std::vector<std::int32_t> tokens;
  filter(row, draw.options, tokens);
  return draw_from(row, tokens, uniform);
}

DrawnToken with_log_prob(DrawnToken drawn, const TokenDraw& draw, double log_prob) {
  if (draw.log_prob) drawn.log_prob = static_cast<float>(std::min(0.0, log_prob));
  return drawn;
}

}  // namespace

void check_sampling(const SamplingOptions& o) {
  const auto finite = [](float value) { return std::isfinite(value); };
  check_range(finite(o.temperature) && o.temperature >= 0.0f, "temperature", o.temperature,
              "0 (greedy) or more");
  check_range(finite(o.repetition_penalty) && o.repetition_penalty > 0.0f, "repetition_penalty",
              o.repetition_penalty, "more than 0 (1: none)");
  check_range(o.top_k >= 0, "top_k", o.top_k, "0 (all tokens) or more");
  check_range(o.top_p > 0.0f && o.top_p <= 1.0f, "top_p", o.top_p, "more than 0 and at most 1");
  check_range(o.min_p >= 0.0f && o.min_p < 1.0f, "min_p", o.min_p, "at least 0 and less than 1");
}

std::vector<Candidate> token_distribution(Isa isa, const SamplingOptions& options,
                                          std::span<const std::int32_t> seen,
                                          std::span<float> logits) {
  penalize(options.repetition_penalty, seen, logits);
  const Row row(isa, options.temperature, clean(isa, logits), logits);
  std::vector<std::int32_t> tokens;
  if (has_filter(options)) {
    filter(row, options, tokens);
    std::sort(tokens.begin(), tokens.end(), Likelier{row});
  } else {
    gather(row, 0.0f, tokens);
  }
  const double total = weight_of_all(row, tokens);
  std::vector<Candidate> result;
  for (const std::int32_t token : tokens) {
    result.push_back({token, weight_of(row, token) / total});
  }
  return result;
}

DrawnToken sample_token(Isa isa, const TokenDraw& draw, std::span<float> logits) {
  penalize(draw.options.repetition_penalty, draw.seen, logits);
  const float largest = clean(isa, logits);
  const double log_of_all = draw.log_prob ? log_total(isa, largest, logits) : 0.0;
  const float temperature = draw.options.temperature;
  if (temperature == 0.0f) {
    const DrawnToken drawn{first_of(logits, largest), margin_of(isa, logits)};
    return with_log_prob(drawn, draw, 0.0 - log_of_all);
  }
  const Row row(isa, temperature, largest, logits);
  const std::int32_t token = drawn_from(row, draw);
  const double below = std::isinf(largest) ? 0.0f : row.x[static_cast<std::size_t>(token)];
  return with_log_prob({token}, draw, below * static_cast<double>(temperature) - log_of_all);
}

}  // namespace headspark
