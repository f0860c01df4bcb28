// Bits of fp32 scores become ordered integers; the n-th highest is found in a histogram of their
// upper bits and among those that share them, in linear time.
#include "stats/select_edges.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>
#include <string>

#include "headspark/error.h"

namespace headspark {
namespace {

constexpr std::uint32_t kSign = 0x80000000u;
constexpr std::uint32_t kInfinity = 0x7f800000u;
constexpr std::uint32_t kBins = 2048;
constexpr std::uint32_t kBinWidth = (1u << 31) / kBins * 2;
constexpr std::uint32_t kHistograms = 4;

/// -0 ranks as 0.
std::uint32_t key_of(std::uint32_t bits, Ranking ranking) {
  const std::uint32_t magnitude = bits & ~kSign;
  if (ranking == Ranking::absolute) return magnitude;
  return (bits & kSign) != 0 && magnitude != 0 ? ~bits : magnitude | kSign;
}

[[noreturn]] void refuse(std::int64_t edge, float score) {
  throw Error(ErrorCode::TENSOR_VALUE, "the score of edge " + std::to_string(edge) + " is " +
                                           std::to_string(score) +
                                           "; scores must be finite to select a circuit.");
}

}  // namespace

EdgeSelector::EdgeSelector(const EdgeIndex& index, const CircuitSelection& selection)
    : index_(index), selection_(selection), histograms_(kBins * kHistograms) {}

std::vector<SelectedEdge>& EdgeSelector::select(const float* scores) {
  scores_ = scores;
  check_finite();
  selected_.clear();
  switch (selection_.rule) {
    case SelectionRule::top_n:
      keep_highest();
      if (selection_.tau) {
        std::erase_if(selected_, [&](const SelectedEdge& edge) { return !reaches_tau(edge.edge); });
      }
      break;
    case SelectionRule::threshold:
      keep_where([&](std::int32_t edge) { return reaches_tau(edge); });
      break;
    case SelectionRule::greedy:
      keep_greedy();
      break;
  }
  return selected_;
}

std::uint32_t EdgeSelector::key(std::int32_t edge) const {
  return key_of(std::bit_cast<std::uint32_t>(scores_[edge]), selection_.ranking);
}

void EdgeSelector::check_finite() const {
  std::uint32_t largest = 0;
  for (std::int32_t edge = 0; edge < index_.edges(); ++edge) {
    largest = std::max(largest, std::bit_cast<std::uint32_t>(scores_[edge]) & ~kSign);
  }
  if (largest < kInfinity) return;
  for (std::int32_t edge = 0; edge < index_.edges(); ++edge) {
    if (!std::isfinite(scores_[edge])) refuse(edge, scores_[edge]);
  }
}

template <typename Keep>
void EdgeSelector::keep_where(const Keep& keep) {
  for (std::int32_t source = 0; source < index_.sources(); ++source) {
    const std::int32_t begin = index_.row_start(source);
    const std::int32_t end = index_.row_start(source + 1);
    const std::int32_t first = index_.first_column(source);
    for (std::int32_t edge = begin; edge < end; ++edge) {
      if (keep(edge)) selected_.push_back({edge, source, first + edge - begin});
    }
  }
}

void EdgeSelector::keep_highest() {
  if (selection_.n == 0) return;
  const auto n = static_cast<std::size_t>(selection_.n);
  const std::uint32_t lowest = lowest_of_bin(n);
  keep_where([&](std::int32_t edge) { return key(edge) >= lowest; });
  // What is too much is in the lowest bin.
  candidates_.clear();
  for (const SelectedEdge& edge : selected_) {
    if (key(edge.edge) - lowest < kBinWidth) candidates_.push_back(key(edge.edge));
  }
  const std::size_t wanted = n - (selected_.size() - candidates_.size());
  const auto nth = candidates_.begin() + static_cast<std::ptrdiff_t>(wanted - 1);
  std::nth_element(candidates_.begin(), nth, candidates_.end(), std::greater<>());
  const std::uint32_t last = *nth;
  // Keys that equal the last one and belong to the n highest.
  auto equal = std::count(candidates_.begin(), nth + 1, last);
  std::erase_if(selected_, [&](const SelectedEdge& edge) {
    return key(edge.edge) < last || (key(edge.edge) == last && equal-- <= 0);
  });
}

/// The lowest key of the bin that the n-th highest key is in.
std::uint32_t EdgeSelector::lowest_of_bin(std::size_t n) {
  // Side by side, because neighbours often fall into the same bin and would wait for each other.
  std::fill(histograms_.begin(), histograms_.end(), 0u);
  for (std::int32_t edge = 0; edge < index_.edges(); ++edge) {
    const std::size_t bin = key(edge) / kBinWidth;
    ++histograms_[bin * kHistograms + at(edge) % kHistograms];
  }
  std::size_t wanted = n;
  for (std::uint32_t bin = kBins - 1;; --bin) {
    const auto begin = histograms_.begin() + static_cast<std::ptrdiff_t>(bin * kHistograms);
    const std::size_t count = std::accumulate(begin, begin + kHistograms, std::size_t{0});
    if (count >= wanted) return bin * kBinWidth;
    wanted -= count;
  }
}

bool EdgeSelector::reaches_tau(std::int32_t edge) const {
  const double score = scores_[edge];
  return (selection_.ranking == Ranking::absolute ? std::fabs(score) : score) >= *selection_.tau;
}

/// Best-first search, the semantics of hannamw/EAP-IG's apply_greedy: the best edge into a node
/// that the circuit holds already, and when its source is new, that source's own edges join.
void EdgeSelector::keep_greedy() {
  const auto after = [&](std::int32_t a, std::int32_t b) {
    return key(a) != key(b) ? key(a) < key(b) : a > b;
  };
  std::vector<bool> open(at(index_.columns()));
  std::vector<bool> known(at(index_.sources()));
  heap_.clear();
  const auto add_edges_into = [&](std::int32_t column) {
    if (open[at(column)]) return;
    open[at(column)] = true;
    for (std::int32_t source = 0; source < index_.sources(); ++source) {
      if (index_.first_column(source) > column) continue;
      heap_.push_back(index_.edge(source, column));
      std::push_heap(heap_.begin(), heap_.end(), after);
    }
  };
  add_edges_into(index_.columns() - 1);
  for (std::int64_t count = 0; count < selection_.n; ++count) {
    std::pop_heap(heap_.begin(), heap_.end(), after);
    const std::int32_t edge = heap_.back();
    heap_.pop_back();
    const std::int32_t source = index_.source_of(edge);
    const std::int32_t column = edge - index_.row_start(source) + index_.first_column(source);
    selected_.push_back({edge, source, column});
    if (known[at(source)]) continue;
    known[at(source)] = true;
    for (const std::int32_t read : index_.read_columns(source)) {
      if (read >= 0) add_edges_into(read);
    }
  }
  std::sort(selected_.begin(), selected_.end(),
            [](const SelectedEdge& a, const SelectedEdge& b) { return a.edge < b.edge; });
}

}  // namespace headspark
