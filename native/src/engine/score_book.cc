// Pair by pair, in order.
#include "engine/score_book.h"

namespace headspark {

ScoreBook::ScoreBook(const Graph& graph, std::size_t pairs, bool keep_pair_scores)
    : keep_pair_scores_(keep_pair_scores) {
  result_.graph = graph;
  const std::int64_t destinations = graph.destinations();
  for (std::int64_t source = 0; source < graph.sources(); ++source) {
    for (std::int64_t column = 0; column < destinations; ++column) {
      if (source < graph.sources_of_column(column)) {
        edge_index_.push_back(source * destinations + column);
      }
    }
  }
  totals_.assign(edge_index_.size(), 0.0);
  if (keep_pair_scores) result_.pair_scores.reserve(pairs * edge_index_.size());
}

void ScoreBook::add(const PairBlock& block, const std::vector<float>& scores) {
  const auto dense =
      static_cast<std::size_t>(result_.graph.sources() * result_.graph.destinations());
  for (std::size_t pair = 0; pair < block.pairs(); ++pair) {
    for (std::size_t edge = 0; edge < edge_index_.size(); ++edge) {
      const float score = scores[pair * dense + static_cast<std::size_t>(edge_index_[edge])];
      totals_[edge] += static_cast<double>(score);
      if (keep_pair_scores_) result_.pair_scores.push_back(score);
    }
    result_.clean_metric.push_back(block.clean_metric()[pair]);
    result_.corrupted_metric.push_back(block.corrupted_metric()[pair]);
    ++result_.pairs;
  }
}

AttributionResult ScoreBook::finish() && {
  const auto dense =
      static_cast<std::size_t>(result_.graph.sources() * result_.graph.destinations());
  result_.scores.assign(dense, 0.0f);
  for (std::size_t edge = 0; edge < edge_index_.size(); ++edge) {
    result_.scores[static_cast<std::size_t>(edge_index_[edge])] =
        static_cast<float>(totals_[edge] / static_cast<double>(result_.pairs));
  }
  return std::move(result_);
}

}  // namespace headspark
