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
void PromptTokens::fill(const Probability& probability, float* values) const {
  Mean means[HeadColumn::write_norm];
  std::vector<Mean> classes(members_.size());
  for (const std::int64_t i : queries_) {
    means[HeadColumn::previous].add(probability(i, i - 1));
    means[HeadColumn::first].add(probability(i, 0));
    double entropy = 0.0;
    double distance = 0.0;
    for (std::int64_t j = 0; j <= i; ++j) {
      const double p = probability(i, j);
      if (p != 0.0) entropy -= p * std::log(p);
      distance += p * static_cast<double>(i - j);
    }
    means[HeadColumn::entropy].add(entropy);
    means[HeadColumn::distance].add(distance);
    double copies = 0.0;
    double after = 0.0;
    bool any_after = false;
    for (const std::int64_t j : copies_[static_cast<std::size_t>(i)]) {
      copies += probability(i, j);
      if (j + 1 == i) continue;  // what follows that copy is the query itself
      after += probability(i, j + 1);
      any_after = true;
    }
    if (!copies_[static_cast<std::size_t>(i)].empty()) means[HeadColumn::duplicate].add(copies);
    if (any_after) means[HeadColumn::induction].add(after);
    for (std::size_t c = 0; c < members_.size(); ++c) {
      double mass = 0.0;
      for (const std::int64_t j : members_[c]) {
        if (j > i) break;
        mass += probability(i, j);
      }
      if (!members_[c].empty() && members_[c].front() <= i) classes[c].add(mass);
    }
  }
  for (std::int32_t column = 0; column < HeadColumn::write_norm; ++column) {
    values[column] = means[column].value();
  }
  for (std::size_t c = 0; c < classes.size(); ++c) {
    values[HeadColumn::classes + static_cast<std::int64_t>(c)] = classes[c].value();
  }
}

void PromptTokens::summarize(const float* map, float* values) const {
  const std::int64_t length = length_;
  fill([map, length](std::int64_t i,
                     std::int64_t j) { return static_cast<double>(map[i * length + j]); },
       values);
}

void PromptTokens::summarize_uniform(float* values) const {
  fill([](std::int64_t i, std::int64_t) { return 1.0 / static_cast<double>(i + 1); }, values);
}

}  // namespace headspark
