// Heads of resampled circuits: a circuit worked out by hand, any number of threads, refusals. That
// the bits are those of the specification in lib/circuit is tested from there (test/native).
#include "headspark/resampled_heads.h"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

/// What a call writes, with room beyond it that must stay as it is.
struct Written {
  Written(const Graph& graph, std::int64_t rows)
      : means("means", rows * graph.edges()),
        masks(static_cast<std::size_t>(rows * graph.layers * graph.heads + 8), 7),
        importances(masks.size(), -1.0) {}
  bool guards_intact() const {
    bool intact = means.guards_intact();
    for (std::size_t i = masks.size() - 8; i < masks.size(); ++i) {
      intact = intact && masks[i] == 7 && importances[i] == -1.0;
    }
    return intact;
  }

  GuardedArray means;
  std::vector<std::uint8_t> masks;
  std::vector<double> importances;
};

Graph graph_of(std::int64_t layers, std::int64_t heads) {
  return {.layers = layers, .heads = heads, .kv_heads = heads};
}

Written run(const Graph& graph, const CircuitSelection& selection, const std::vector<float>& scores,
            const std::vector<std::uint32_t>& weights, int threads = 2) {
  const auto pairs = static_cast<std::int64_t>(scores.size()) / graph.edges();
  const auto rows = static_cast<std::int64_t>(weights.size()) / pairs;
  Written written(graph, rows);
  resampled_heads(
      make_cpu_context(threads, default_isa()),
      {.graph = graph,
       .selection = selection,
       .means = {scores.data(), pairs, graph.edges(), weights.data(), rows, written.means.data()},
       .masks = written.masks.data(),
       .importances = written.importances.data()});
  CHECK(written.guards_intact());
  return written;
}

/// One layer, two heads. Edges, by source: input -> q0 q1 k0 k1 v0 v1 m logits (0 to 7),
/// a0.h0 -> m logits (8, 9), a0.h1 -> m logits (10, 11), m0 -> logits (12).
std::vector<float> scores_by_hand() {
  std::vector<float> scores(13, 0.0f);
  scores[4] = 0.5f;    // input -> a0.h0<v>
  scores[9] = -0.75f;  // a0.h0 -> logits
  scores[11] = 0.25f;  // a0.h1 -> logits, which nothing feeds
  scores[1] = -0.1f;   // input -> a0.h1<q>
  return scores;
}

TEST_CASE("resampled heads: a circuit by hand, pruned and not") {
  const Graph graph = graph_of(1, 2);
  REQUIRE(graph.edges() == 13);
  const auto heads = [&](const CircuitSelection& selection) {
    const Written written = run(graph, selection, scores_by_hand(), {1});
    return std::vector<double>{double(written.masks[0]), double(written.masks[1]),
                               written.importances[0], written.importances[1]};
  };
  CHECK(heads({.n = 3}) == std::vector<double>{1, 0, 1, 0});
  CHECK(heads({.n = 3, .prune = false}) == std::vector<double>{1, 1, 0.75, 0.25});
  CHECK(heads({.n = 4}) == std::vector<double>{1, 1, 0.75, 0.25});
  CHECK(heads({.n = 4, .tau = 0.2}) == std::vector<double>{1, 0, 1, 0});
  CHECK(heads({.n = 2, .ranking = Ranking::signed_score}) == std::vector<double>{0, 0, 0, 0});
  CHECK(heads({.rule = SelectionRule::threshold, .tau = 0.5}) == std::vector<double>{1, 0, 1, 0});
  // From the logits: a0.h0 (0.75), then the edge into its v before a0.h1.
  CHECK(heads({.rule = SelectionRule::greedy, .n = 2}) == std::vector<double>{1, 0, 1, 0});
  CHECK(heads({.n = 0}) == std::vector<double>{0, 0, 0, 0});
}

TEST_CASE("resampled heads: the same for any number of threads and rows at once") {
  const Graph graph = graph_of(3, 4);
  constexpr std::int64_t pairs = 6;
  constexpr std::int64_t rows = 9;
  const std::vector<float> scores = Random(3).values(pairs * graph.edges());
  std::vector<std::uint32_t> weights;
  for (std::int64_t i = 0; i < rows * pairs; ++i) {
    weights.push_back(static_cast<std::uint32_t>(i % 5 == 0 ? 2 : i % 3));
  }
  for (const SelectionRule rule : {SelectionRule::top_n, SelectionRule::greedy}) {
    const CircuitSelection selection{.rule = rule, .n = graph.edges() / 4};
    const Written all = run(graph, selection, scores, weights, 1);
    const Written threads = run(graph, selection, scores, weights, 3);
    CHECK(threads.masks == all.masks);
    CHECK(threads.importances == all.importances);
    const auto heads = static_cast<std::size_t>(graph.layers * graph.heads);
    for (std::size_t row = 0; row < rows; ++row) {
      const Written one = run(graph, selection, scores,
                              {weights.begin() + static_cast<std::ptrdiff_t>(row * pairs),
                               weights.begin() + static_cast<std::ptrdiff_t>((row + 1) * pairs)});
      for (std::size_t head = 0; head < heads; ++head) {
        CHECK(one.masks[head] == all.masks[row * heads + head]);
        CHECK(one.importances[head] == all.importances[row * heads + head]);
      }
    }
  }
}

TEST_CASE("resampled heads refuse what makes no circuit") {
  const Graph graph = graph_of(1, 2);
  const auto code = [&](const Graph& shape, const CircuitSelection& selection,
                        std::vector<float> scores) {
    try {
      run(shape, selection, scores, {1});
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::INTERNAL;
  };
  const std::vector<float> scores = scores_by_hand();
  CHECK(code(graph, {.n = 14}, scores) == ErrorCode::INVALID_ARGUMENT);
  CHECK(code(graph, {.n = -1}, scores) == ErrorCode::INVALID_ARGUMENT);
  CHECK(code(graph, {.rule = SelectionRule::threshold}, scores) == ErrorCode::INVALID_ARGUMENT);
  const double infinity = std::numeric_limits<double>::infinity();
  CHECK(code(graph, {.n = 1, .tau = infinity}, scores) == ErrorCode::INVALID_ARGUMENT);
  std::vector<float> infinite = scores;
  infinite[5] = std::numeric_limits<float>::infinity();
  CHECK(code(graph, {.n = 1}, infinite) == ErrorCode::TENSOR_VALUE);
}

}  // namespace
}  // namespace headspark::test
