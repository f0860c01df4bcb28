// Head writes expanded once or layer by layer: the same bits in every column, and less memory.
#include "engine/source_differences.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "headspark/attribution.h"
#include "op_suite.h"
#include "reference_models.h"

namespace headspark::golden {
namespace {

struct Fixture {
  Engine engine;
  Graph graph;
  std::vector<Pair> pairs;
  RotaryTable rotary;
  PairBlock block;

  explicit Fixture(const char* model)
      : engine(engine_for(model)),
        graph(make_graph(engine.config(), KvEdges::per_query_head)),
        pairs(some_pairs(3)),
        rotary(rotary_for(engine, 64)),
        block(engine, pairs, {Metric::logit_diff, true}, rotary, {}) {}

  /// Of the logits and the layers' columns, `group` destinations at a time.
  std::vector<float> scores(HeadWrites writes, std::int64_t group) {
    SourceDifferences differences(engine, graph, block, writes);
    const std::int64_t column_floats = block.tokens() * engine.config().hidden;
    test::Random random(4);
    const Buffer<float> gradients(
        engine.context.backend,
        std::span<const float>(random.values(graph.destinations() * column_floats)));
    Buffer<float> scores(engine.context.backend, static_cast<std::int64_t>(block.pairs()) *
                                                     graph.sources() * graph.destinations());
    scores.zero();
    for (std::int64_t first = 0; first < graph.destinations(); first += group) {
      ContractedColumns columns;
      columns.first = first;
      columns.gradients = gradients.data() + first * column_floats;
      for (std::int64_t v = first; v < std::min(first + group, graph.destinations()); ++v) {
        columns.ends.push_back(graph.sources_of_column(v));
      }
      differences.contract(columns, scores.data());
    }
    return scores.to_host();
  }
};

}  // namespace

TEST_CASE("engine: head writes layer by layer give the bits of all at once") {
  for (const char* model : {"qwen2", "neox"}) {
    CAPTURE(std::string(model));
    Fixture fixture(model);
    const std::vector<float> expanded = fixture.scores(HeadWrites::expanded, 1);
    for (const std::int64_t group : {std::int64_t{1}, std::int64_t{11}, std::int64_t{1000}}) {
      CHECK(fixture.scores(HeadWrites::expanded, group) == expanded);
      CHECK(fixture.scores(HeadWrites::per_layer, group) == expanded);
    }
    CHECK(std::any_of(expanded.begin(), expanded.end(), [](float x) { return x != 0.0f; }));
    CHECK(
        SourceDifferences::floats_per_token(fixture.engine, fixture.graph, HeadWrites::per_layer) <
        SourceDifferences::floats_per_token(fixture.engine, fixture.graph, HeadWrites::expanded));
  }
}

}  // namespace headspark::golden
