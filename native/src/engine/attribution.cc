// Chooses the method and cuts the pairs into micro-batches that fit the memory budget.
#include "headspark/attribution.h"

#include <algorithm>
#include <string>

#include "engine/gradient_path.h"
#include "engine/methods.h"
#include "engine/score_book.h"
#include "headspark/error.h"

namespace headspark {
namespace {

std::vector<float> grid_points(const AttributionOptions& options) {
  const auto steps = static_cast<float>(options.ig_steps);
  std::vector<float> alphas;
  for (int k = 0; k < options.ig_steps; ++k) {
    const float offset = options.ig_grid == IgGrid::left    ? 0.0f
                         : options.ig_grid == IgGrid::right ? 1.0f
                                                            : 0.5f;
    alphas.push_back((static_cast<float>(k) + offset) / steps);
  }
  return alphas;
}

// Points that run as rows of one batch. Scores are contracted once per pass, by FLOP count
// under a tenth of its forward and backward at this size; a constant, so that the memory budget
// changes no bit.
constexpr std::size_t kPointsPerPass = 8;

PathPoints path_points(const AttributionOptions& options, std::int64_t layers) {
  PathPoints points;
  if (options.method == AttributionMethod::eap) {
    points.alphas = {1.0f};
  } else if (options.method == AttributionMethod::clean_corrupted) {
    points.alphas = {0.0f, 1.0f};
  } else {
    points.alphas = grid_points(options);
  }
  float parts = static_cast<float>(points.alphas.size());
  if (options.method == AttributionMethod::eap_ig_activations) {
    parts *= static_cast<float>(2 * layers + 1);
  }
  points.weight = 1.0f / parts;
  points.activations = options.method == AttributionMethod::eap_ig_activations;
  return points;
}

void check_options(const AttributionOptions& options) {
  if (options.ig_steps < 1 || options.ig_steps > 10000) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "The number of integrated-gradient steps is " +
                                                 std::to_string(options.ig_steps) +
                                                 "; it must lie between 1 and 10000.");
  }
  const bool all = options.columns.begin == 0 && options.columns.end == -1;
  if (!all && options.method != AttributionMethod::exact) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "Only exact patching takes some destinations by themselves.");
  }
}

std::vector<PathGroup> groups_of(const AttributionOptions& options, std::int64_t layers) {
  std::vector<PathGroup> groups{{SourceGroup::input, 0}};
  if (options.method != AttributionMethod::eap_ig_activations) return groups;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    groups.push_back({SourceGroup::heads, layer});
    groups.push_back({SourceGroup::mlp, layer});
  }
  return groups;
}

/// Ends that are points of the first pass need no run of their own: it leaves what they write. A
/// path of kl needs the logits of the clean run before.
std::vector<End> ends_of(const PathPoints& points, Metric metric) {
  std::vector<End> ends;
  for (const float alpha : points.alphas) {
    if (alpha == 0.0f) ends.push_back(End::corrupted);
    if (alpha == 1.0f && metric != Metric::kl) ends.push_back(End::clean);
  }
  return ends;
}

std::vector<PathPoints> cut_points(const PathPoints& points, const AttributionOptions& options) {
  std::vector<PathPoints> passes;
  for (std::size_t begin = 0; begin < points.alphas.size(); begin += kPointsPerPass) {
    const std::size_t end = std::min(points.alphas.size(), begin + kPointsPerPass);
    PathPoints pass = points;
    pass.alphas.assign(points.alphas.begin() + static_cast<std::ptrdiff_t>(begin),
                       points.alphas.begin() + static_cast<std::ptrdiff_t>(end));
    passes.push_back(std::move(pass));
  }
  passes.front().ends = ends_of(passes.front(), options.metric);
  return passes;
}

AttributionResult gradient_attribution(const Engine& engine, std::span<const Pair> pairs,
                                       const AttributionOptions& options,
                                       const RunControl& control) {
  const Graph graph = make_graph(engine.config(), options.kv_edges);
  const std::vector<PathPoints> passes = cut_points(path_points(options, graph.layers), options);
  const std::vector<PathGroup> groups = groups_of(options, graph.layers);
  const RotaryTables rotary = rotary_for(engine, longest_pair(pairs));
  const auto copies = static_cast<std::int64_t>(passes.front().alphas.size());
  const auto cost_of = [&](HeadWrites writes) -> TokenCost {
    return {.floats = GradientPath::floats_per_token(engine, graph, passes.front(), writes),
            .copies = copies};
  };
  // Expanded writes save time as long as they leave room for micro-batches of full size.
  const HeadWrites writes =
      fits_full_batches(engine, pairs, options.metric, cost_of(HeadWrites::expanded))
          ? HeadWrites::expanded
          : HeadWrites::per_layer;
  ScoreBook book(graph, pairs.size(), options.keep_pair_scores);
  const auto ranges = plan_pairs(engine, pairs, options.metric, cost_of(writes));
  PathWorkspace workspace(engine, copies * largest_block(engine, pairs, options.metric, ranges),
                          passes.front());
  for (const auto& [begin, end] : ranges) {
    control.report({begin, pairs.size(), "attribution"});
    PairBlock block(engine, pairs.subspan(begin, end - begin),
                    {.metric = options.metric,
                     .share_prefix = engine.options.share_prefix,
                     .given = passes.front().ends},
                    rotary, control);
    BlockScores scores(engine, graph, block, writes);
    for (const PathPoints& points : passes) {
      GradientPath path({engine, graph, block, scores, workspace}, points);
      for (const PathGroup& group : groups) path.run(group, control);
    }
    book.add(block, scores.scores().to_host());
  }
  control.report({pairs.size(), pairs.size(), "attribution"});
  return std::move(book).finish();
}

}  // namespace

AttributionResult attribute(const Engine& engine, std::span<const Pair> all,
                            const AttributionOptions& options, const RunControl& control) {
  check_options(options);
  check_pairs(engine, all, options.metric);
  const std::span<const Pair> pairs = pairs_in(all, options.range);
  const BufferReuse reuse(engine.context.backend);
  switch (options.method) {
    case AttributionMethod::information_flow_routes:
      return flow_attribution(engine, pairs, options, control);
    case AttributionMethod::exact:
      return exact_attribution(engine, pairs, options, control);
    default:
      return gradient_attribution(engine, pairs, options, control);
  }
}

}  // namespace headspark
