// Head writes expanded once or layer by layer: the same bits in every column, and less memory.
#include "engine/source_differences.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "golden.h"
#include "headspark/attribution.h"
#include "op_suite.h"
#include "suite_device.h"

namespace headspark::golden {
namespace {

struct Fixture {
  Engine engine;
  Graph graph;
  std::vector<Pair> pairs;
  RotaryTable rotary;
  PairBlock block;

  explicit Fixture(const char* model)
      : engine(make_engine(
            load_model(golden::source_folder() / "test/fixtures/reference" / model, {}, {}),
            {.threads = 2, .device = test::suite_device()})),
        graph(make_graph(engine.config(), KvEdges::per_query_head)),
        pairs(read_pairs(golden::source_folder() / "test/fixtures/reference/pairs.jsonl")),
        rotary(rotary_for(engine, 64)),
        block(engine, std::span(pairs).first(3), {Metric::logit_diff, true}, rotary, {}) {}

  /// `cut`: the last MLP meets its layer's heads and the sources below in two calls.
  std::vector<float> scores(HeadWrites writes, bool cut = false) {
    SourceDifferences differences(engine, graph, block, writes);
    const std::int64_t layer = engine.config().layers - 1;
    test::Random random(4);
    const Buffer<float> gradients(
        engine.context.backend,
        std::span<const float>(
            random.values(graph.layer_columns() * block.tokens() * engine.config().hidden)));
    Buffer<float> scores(engine.context.backend, static_cast<std::int64_t>(block.pairs()) *
                                                     graph.sources() * graph.destinations());
    scores.zero();
    const auto contract = [&](std::int64_t column, std::int64_t columns, std::int64_t first,
                              std::int64_t sources) {
      differences.contract({column, columns, first, sources, gradients.data()}, scores.data());
    };
    const std::int64_t upper = graph.sources_of_attention(layer);
    contract(graph.q_column(layer, 0), graph.layer_columns() - 1, 0, upper);
    contract(graph.mlp_column(0), 1, 0, graph.sources_of_mlp(0));
    contract(graph.mlp_column(layer), 1, cut ? upper : 0, graph.sources_of_mlp(layer));
    if (cut) contract(graph.mlp_column(layer), 1, 0, upper);
    contract(graph.logits_column(), 1, 0, graph.sources());
    return scores.to_host();
  }
};

}  // namespace

TEST_CASE("engine: head writes layer by layer give the bits of all at once") {
  for (const char* model : {"qwen2", "neox"}) {
    CAPTURE(std::string(model));
    Fixture fixture(model);
    const std::vector<float> expanded = fixture.scores(HeadWrites::expanded);
    CHECK(fixture.scores(HeadWrites::per_layer) == expanded);
    CHECK(fixture.scores(HeadWrites::expanded, true) == expanded);
    CHECK(fixture.scores(HeadWrites::per_layer, true) == expanded);
    CHECK(std::any_of(expanded.begin(), expanded.end(), [](float x) { return x != 0.0f; }));
    CHECK(
        SourceDifferences::floats_per_token(fixture.engine, fixture.graph, HeadWrites::per_layer) <
        SourceDifferences::floats_per_token(fixture.engine, fixture.graph, HeadWrites::expanded));
  }
}

}  // namespace headspark::golden
