// All sums in double, in the order of queries and keys.
#include "engine/attention_summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

namespace headspark {
namespace {

/// A mean over the queries that count for it.
struct Mean {
  double sum = 0.0;
  std::int64_t count = 0;

  void add(double value) {
    sum += value;
    ++count;
  }
  float value() const {
    if (count == 0) return std::numeric_limits<float>::quiet_NaN();
    return static_cast<float>(sum / static_cast<double>(count));
  }
};

/// Of a query's attention, to the tokens of a kind that it sees; none of them is no share.
struct Share {
  double sum = 0.0;
  bool any = false;

  void add(double probability) {
    sum += probability;
    any = true;
  }
  void count_in(Mean& mean) const {
    if (any) mean.add(sum);
  }
};

}  // namespace

PromptTokens::PromptTokens(const HeadPrompt& prompt, std::int32_t classes, HeadQueries queries)
    : length_(std::ssize(prompt.tokens)),
      copies_(prompt.tokens.size()),
      members_(static_cast<std::size_t>(classes)) {
  const std::int64_t answers = std::max<std::int64_t>(1, std::ssize(prompt.answers));
  const std::int64_t begin = queries == HeadQueries::all ? 1 : length_ - answers;
  for (std::int64_t i = std::max<std::int64_t>(1, begin); i < length_; ++i) queries_.push_back(i);
  std::unordered_map<std::int32_t, std::vector<std::int64_t>> seen;
  for (std::int64_t i = 0; i < length_; ++i) {
    const auto index = static_cast<std::size_t>(i);
    std::vector<std::int64_t>& places = seen[prompt.tokens[index]];
    copies_[index] = places;
    places.push_back(i);
    for (std::size_t c = 0; c < members_.size(); ++c) {
      if ((prompt.classes[index] >> c & 1u) != 0) members_[c].push_back(i);
    }
  }
}

template <typename Probability>
void PromptTokens::fill(const Probability& probability, const AttentionShape& shape,
                        float* values) const {
  Mean means[HeadColumn::write_norm];
  std::vector<Mean> classes(members_.size());
  for (const std::int64_t i : queries_) {
    const std::int64_t first = shape.first_key(i);
    double entropy = 0.0;
    double distance = 0.0;
    for (std::int64_t j = first; j <= i; ++j) {
      const double p = probability(i, j);
      if (p != 0.0) entropy -= p * std::log(p);
      distance += p * static_cast<double>(i - j);
    }
    means[HeadColumn::entropy].add(entropy);
    means[HeadColumn::distance].add(distance);
    Share previous;
    Share start;
    Share copies;
    Share after;
    if (first < i) previous.add(probability(i, i - 1));
    if (first == 0) start.add(probability(i, 0));
    for (const std::int64_t j : copies_[static_cast<std::size_t>(i)]) {
      if (j >= first) copies.add(probability(i, j));
      // What follows the token before the query is the query itself.
      if (j + 1 >= first && j + 1 < i) after.add(probability(i, j + 1));
    }
    previous.count_in(means[HeadColumn::previous]);
    start.count_in(means[HeadColumn::first]);
    copies.count_in(means[HeadColumn::duplicate]);
    after.count_in(means[HeadColumn::induction]);
    for (std::size_t c = 0; c < members_.size(); ++c) {
      Share mass;
      for (const std::int64_t j : members_[c]) {
        if (j > i) break;
        if (j >= first) mass.add(probability(i, j));
      }
      mass.count_in(classes[c]);
    }
  }
  for (std::int32_t column = 0; column < HeadColumn::write_norm; ++column) {
    values[column] = means[column].value();
  }
  for (std::size_t c = 0; c < classes.size(); ++c) {
    values[HeadColumn::classes + static_cast<std::int64_t>(c)] = classes[c].value();
  }
}

void PromptTokens::summarize(const float* map, const AttentionShape& shape, float* values) const {
  const std::int64_t length = length_;
  fill([map, length](std::int64_t i,
                     std::int64_t j) { return static_cast<double>(map[i * length + j]); },
       shape, values);
}

void PromptTokens::summarize_uniform(float* values) const {
  const AttentionShape without_window;
  fill([](std::int64_t i, std::int64_t) { return 1.0 / static_cast<double>(i + 1); },
       without_window, values);
}

}  // namespace headspark
