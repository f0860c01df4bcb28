// Ends of a path that are points of it: what their own run would leave, bit for bit.
#include <doctest/doctest.h>

#include "engine/gradient_path.h"
#include "headspark/attribution.h"
#include "op_suite.h"
#include "reference_models.h"

namespace headspark::golden {
namespace {

using test::check_same_bits;

/// What sources write of both ends, and their metric.
std::vector<std::vector<float>> contents(const Engine& engine, PairBlock& block) {
  const ModelConfig& config = engine.config();
  const std::int64_t tokens = 2 * block.tokens();
  std::vector<std::vector<float>> all{
      host(engine, block.ends().embedding(), tokens * config.hidden), block.clean_metric(),
      block.corrupted_metric()};
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const LayerTrace& trace = block.ends().layer(layer);
    all.push_back(host(engine, trace.written, tokens * config.heads * config.head_dim));
    all.push_back(host(engine, trace.mlp_out, tokens * config.hidden));
  }
  return all;
}

}  // namespace

TEST_CASE("path ends: a pass over the path leaves what runs of its ends would") {
  const std::vector<Pair> pairs = some_pairs(3);
  for (const char* model : kModels) {
    for (const Isa isa : test::cpu_levels()) {
      CAPTURE(std::string(model) + " on " + isa_name(isa));
      const Engine engine = engine_for(model, isa, 2);
      const Graph graph = make_graph(engine.config(), KvEdges::per_query_head);
      const RotaryTables rotary = rotary_for(engine, 64);
      PairBlock own(engine, pairs, {}, rotary, {});
      for (const std::vector<End>& given :
           {std::vector<End>{End::corrupted}, {End::clean}, {End::clean, End::corrupted}}) {
        PairBlock block(engine, pairs, {.given = given}, rotary, {});
        const PathPoints points{.alphas = {0.0f, 0.25f, 1.0f}, .weight = 0.3f, .ends = given};
        PathWorkspace workspace(engine, 3 * block.tokens(), points);
        BlockScores scores(engine, graph, block, HeadWrites::per_layer);
        GradientPath({engine, graph, block, scores, workspace}, points).run({}, {});
        const auto expected = contents(engine, own);
        const auto found = contents(engine, block);
        for (std::size_t i = 0; i < expected.size(); ++i) {
          check_same_bits("part " + std::to_string(i), found[i], expected[i]);
        }
      }
    }
  }
}

TEST_CASE("path ends: metrics of both ends are the same by every grid and method") {
  const std::vector<Pair> pairs = some_pairs(5);
  for (const char* model : kModels) {
    CAPTURE(std::string(model));
    const Engine engine = engine_for(model, default_isa(), 2);
    for (const Metric metric : {Metric::logit_diff, Metric::kl}) {
      const auto result = [&](AttributionMethod method, IgGrid grid, int steps) {
        AttributionOptions options;
        options.method = method;
        options.metric = metric;
        options.ig_grid = grid;
        options.ig_steps = steps;
        return attribute(engine, pairs, options, {});
      };
      const auto inputs = AttributionMethod::eap_ig_inputs;
      const AttributionResult apart = result(inputs, IgGrid::midpoint, 2);
      for (const AttributionResult& other :
           {result(inputs, IgGrid::left, 2), result(inputs, IgGrid::right, 2),
            result(inputs, IgGrid::right, 11), result(AttributionMethod::eap, IgGrid::left, 1),
            result(AttributionMethod::clean_corrupted, IgGrid::left, 1)}) {
        CHECK(other.clean_metric == apart.clean_metric);
        CHECK(other.corrupted_metric == apart.corrupted_metric);
      }
    }
  }
}

}  // namespace headspark::golden
