// Properties of the engine that no golden shows: batch, thread and memory independence to the bit,
// integrated-gradient completeness, and that the sweep agrees with the plain forward pass.
#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "engine/circuit_nodes.h"
#include "golden.h"
#include "headspark/attribution.h"
#include "headspark/circuit_eval.h"
#include "headspark/error.h"
#include "headspark/generate.h"
#include "headspark/sweep.h"
#include "op_suite.h"
#include "reference_models.h"

namespace headspark::golden {
namespace {

std::vector<float> scores_with(const char* model, const EngineOptions& options,
                               const AttributionOptions& attribution) {
  return attribute(engine_for(model, options), some_pairs(7), attribution, {}).pair_scores;
}

double sum_of(const std::vector<float>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

}  // namespace

TEST_CASE("engine: batch size, threads and memory budget never change a bit of a score") {
  for (const char* model : kModels) {
    CAPTURE(std::string(model));
    for (const AttributionMethod method :
         {AttributionMethod::eap_ig_inputs, AttributionMethod::eap_ig_activations,
          AttributionMethod::information_flow_routes}) {
      AttributionOptions attribution;
      attribution.method = method;
      attribution.ig_steps = 3;
      const std::vector<float> expected = scores_with(model, {.batch_tokens = 100000}, attribution);
      CHECK(scores_with(model, {.batch_tokens = 1}, attribution) == expected);
      CHECK(scores_with(model, {.batch_tokens = 150}, attribution) == expected);
      CHECK(scores_with(model, {.threads = 1}, attribution) == expected);
      CHECK(scores_with(model, {.threads = 5, .memory_bytes = 32 << 20}, attribution) == expected);
    }
  }
}

TEST_CASE("engine: a shared prefix changes scores by rounding only") {
  for (const char* model : kModels) {
    CAPTURE(std::string(model));
    for (const Metric metric : {Metric::logit_diff, Metric::kl, Metric::prob_diff}) {
      AttributionOptions attribution;
      attribution.metric = metric;
      const auto shared = scores_with(model, {}, attribution);
      const auto whole = scores_with(model, {.share_prefix = false}, attribution);
      double largest = 0.0;
      for (const float score : whole)
        largest = std::max(largest, std::fabs(static_cast<double>(score)));
      CHECK(max_difference(shared, whole) <= 1e-5 * largest);
    }
  }
}

TEST_CASE("engine: integrated gradients are complete at the input node") {
  for (const char* model : kModels) {
    CAPTURE(std::string(model));
    AttributionOptions options;
    options.ig_steps = 150;
    options.ig_grid = IgGrid::midpoint;
    const AttributionResult result = attribute(engine_for(model), some_pairs(6), options, {});
    // Edges input -> v hold <delta, d loss / d in_v>; with residual connections the gradient at the
    // embedding is the sum over all destinations that read it.
    double total = 0.0;
    for (std::int64_t column = 0; column < result.graph.destinations(); ++column) {
      total += result.scores[static_cast<std::size_t>(column)];
    }
    const double change = (sum_of(result.clean_metric) - sum_of(result.corrupted_metric)) /
                          static_cast<double>(result.pairs);
    CHECK(std::fabs(total - change) <= 0.01 * std::fabs(change));
  }
}

TEST_CASE("engine: exact patching of some destinations gives their bits and leaves the others 0") {
  const std::vector<Pair> pairs = some_pairs(2);
  for (const char* model : kModels) {
    CAPTURE(std::string(model));
    const Engine engine = engine_for(model);
    AttributionOptions options;
    options.method = AttributionMethod::exact;
    options.range = {1, 2};
    const AttributionResult whole = attribute(engine, pairs, options, {});
    const std::int64_t columns = whole.graph.destinations();
    const std::int64_t middle = columns / 2;
    for (const ColumnRange range : {ColumnRange{0, middle}, ColumnRange{middle, -1}}) {
      options.columns = range;
      const AttributionResult part = attribute(engine, pairs, options, {});
      std::vector<float> expected = whole.scores;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        const std::int64_t column = static_cast<std::int64_t>(i) % columns;
        const bool inside = column >= range.begin && (range.end < 0 || column < range.end);
        if (!inside) expected[i] = 0.0f;
      }
      test::check_same_bits("exact", part.scores, expected);
    }
    options.columns = {columns, -1};
    CHECK_THROWS_WITH_AS(attribute(engine, pairs, options, {}), doctest::Contains("destinations"),
                         Error);
    options.columns = {0, middle};
    options.method = AttributionMethod::eap;
    CHECK_THROWS_WITH_AS(attribute(engine, pairs, options, {}), doctest::Contains("exact"), Error);
  }
}

TEST_CASE("engine: a full circuit is the model and an empty one the corrupted run") {
  for (const char* name : kModels) {
    CAPTURE(std::string(name));
    const Engine engine = engine_for(name);
    const std::vector<Pair> pairs = some_pairs(5);
    for (const KvEdges kv_edges : {KvEdges::per_query_head, KvEdges::grouped}) {
      const Graph graph = make_graph(engine.config(), kv_edges);
      const auto dense = static_cast<std::size_t>(graph.sources() * graph.destinations());
      std::vector<std::uint8_t> masks(2 * dense, 0);
      std::fill(masks.begin(), masks.begin() + static_cast<std::ptrdiff_t>(dense), std::uint8_t{1});
      CircuitEvalOptions options;
      options.kv_edges = kv_edges;
      for (const ExcludedEdges excluded :
           {ExcludedEdges::patch, ExcludedEdges::zero, ExcludedEdges::mean}) {
        options.excluded = excluded;
        const CircuitEvalResult result = evaluate_circuits(engine, pairs, masks, options, {});
        const std::vector<float> full(result.values.begin(), result.values.begin() + 5);
        const std::vector<float> empty(result.values.begin() + 5, result.values.end());
        CHECK(max_difference(full, result.clean_metric) <= 1e-5);
        if (excluded == ExcludedEdges::patch) {
          CHECK(max_difference(empty, result.corrupted_metric) <= 1e-5);
        }
      }
    }
  }
}

/// Every edge with a chance of one in `rarity`.
std::vector<std::uint8_t> random_circuit(const Graph& graph, std::int64_t rarity) {
  test::Random random(7);
  std::vector<std::uint8_t> mask;
  for (std::int64_t edge = 0; edge < graph.sources() * graph.destinations(); ++edge) {
    const bool exists =
        edge / graph.destinations() < graph.sources_of_column(edge % graph.destinations());
    mask.push_back(exists && random.below(rarity) == 0 ? 1 : 0);
  }
  return mask;
}

TEST_CASE("engine: what a circuit does not read changes no bit, nor do the circuits before it") {
  for (const char* name : kModels) {
    const Engine engine = engine_for(name);
    const std::vector<Pair> pairs = some_pairs(3);
    for (const KvEdges kv_edges : {KvEdges::per_query_head, KvEdges::grouped}) {
      CAPTURE(std::string(name) + (kv_edges == KvEdges::grouped ? ", grouped" : ""));
      const Graph graph = make_graph(engine.config(), kv_edges);
      const std::int64_t columns = graph.destinations();
      const std::vector<std::uint8_t> circuit = random_circuit(graph, columns / 2);
      // All edges into nodes without one out of them are added.
      std::vector<std::uint8_t> more = circuit;
      const CircuitNodes nodes(graph, circuit, engine.config().post_norm);
      CHECK(nodes.columns() < columns);
      for (std::int64_t edge = 0; edge < graph.sources() * columns; ++edge) {
        const std::int64_t source = edge / columns;
        const auto begin = circuit.begin() + source * columns;
        const bool is_read = std::count(begin, begin + columns, 1) > 0;
        if (is_read && !nodes.has_column(edge % columns)) more[static_cast<std::size_t>(edge)] = 1;
      }
      CHECK(more != circuit);
      std::vector<std::uint8_t> masks = circuit;
      masks.insert(masks.end(), circuit.size(), 1);
      masks.insert(masks.end(), more.begin(), more.end());
      const CircuitEvalResult result =
          evaluate_circuits(engine, pairs, masks, {.kv_edges = kv_edges}, {});
      const auto values = [&](std::ptrdiff_t i) {
        return std::vector<float>(result.values.begin() + 3 * i, result.values.begin() + 3 * i + 3);
      };
      CHECK(values(2) == values(0));
      CHECK(values(1) != values(0));
    }
  }
}

TEST_CASE("engine: grouped k and v edges are the sums of their query heads' edges") {
  AttributionOptions options;
  const Engine engine = engine_for("qwen2");
  const std::vector<Pair> pairs = some_pairs(3);
  const AttributionResult each = attribute(engine, pairs, options, {});
  options.kv_edges = KvEdges::grouped;
  const AttributionResult grouped = attribute(engine, pairs, options, {});
  const std::int64_t share = each.graph.heads / each.graph.kv_heads;
  double largest = 0.0;
  for (std::int64_t source = 0; source < each.graph.sources(); ++source) {
    for (std::int64_t layer = 0; layer < each.graph.layers; ++layer) {
      for (std::int64_t group = 0; group < each.graph.kv_heads; ++group) {
        double sum = 0.0;
        for (std::int64_t i = 0; i < share; ++i) {
          sum += each.scores[static_cast<std::size_t>(
              source * each.graph.destinations() + each.graph.k_column(layer, group * share + i))];
        }
        const double ours = grouped.scores[static_cast<std::size_t>(
            source * grouped.graph.destinations() + grouped.graph.k_column(layer, group))];
        const double difference = std::fabs(sum - ours);
        if (!(difference <= largest)) largest = difference;
      }
    }
  }
  CHECK(largest <= 1e-6);
}

TEST_CASE("sweep: zero ablation and scaling equal the plain forward pass, in any company") {
  for (const char* name : kModels) {
    CAPTURE(std::string(name));
    const Engine engine = engine_for(name);
    const std::vector<Pair> pairs = some_pairs(4);
    const std::vector<AblationVariant> variants = {
        {{}}, {{{0, 1, 0.0f}}}, {{{2, 3, 0.5f}, {1, 0, 1.3f}}}, {{{2, 2, 0.0f}}}};
    const Sweep sweep(engine, pairs, {}, {});
    const Sweep::Result all = sweep.run(variants, {});
    for (std::size_t v = 0; v < variants.size(); ++v) {
      const Sweep::Result alone = sweep.run(std::span(variants).subspan(v, 1), {});
      for (std::size_t p = 0; p < pairs.size(); ++p) {
        CHECK(alone.values[p] == all.values[v * pairs.size() + p]);
        LogitsRequest request;
        request.prompts = {pairs[p].clean};
        request.heads = {variants[v].heads};
        const HostArray<float> logits = compute_logits(engine, request, {});
        const double expected =
            static_cast<double>(logits[static_cast<std::size_t>(pairs[p].correct[0])]) -
            logits[static_cast<std::size_t>(pairs[p].incorrect[0])];
        CHECK(std::fabs(all.values[v * pairs.size() + p] - expected) <= 1e-5);
      }
    }
  }
}

TEST_CASE("sweep: resampling all heads of all layers with clean = corrupted changes nothing") {
  const Engine engine = engine_for("qwen2");
  std::vector<Pair> pairs = some_pairs(3);
  for (Pair& pair : pairs) pair.corrupted = pair.clean;
  AblationVariant every;
  for (std::int32_t layer = 0; layer < engine.config().layers; ++layer) {
    for (std::int32_t head = 0; head < engine.config().heads; ++head) {
      every.heads.push_back({layer, head, 0.0f});
    }
  }
  const std::vector<AblationVariant> variants = {{{}}, every};
  const Sweep::Result result =
      Sweep(engine, pairs, {.kind = AblationKind::resample}, {}).run(variants, {});
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    CHECK(std::fabs(result.values[p] - result.values[pairs.size() + p]) <= 1e-5);
  }
  // Replacing by the corrupted run at the last layer only must differ from zero ablation.
  const Sweep::Result zero = Sweep(engine, pairs, {}, {}).run(variants, {});
  CHECK(std::fabs(zero.values[pairs.size()] - zero.values[0]) > 1e-3);
}

TEST_CASE("sweep: prompt and generated positions together are all positions' complement") {
  const Engine engine = engine_for("qwen2");
  std::vector<Pair> pairs = some_pairs(2);
  for (Pair& pair : pairs) {
    pair.continuation = {5, 9, 11};
    pair.correct.clear();
    pair.incorrect.clear();
  }
  const std::vector<AblationVariant> variants = {{{}}, {{{0, 0, 0.0f}}}, {{{3, 2, 0.0f}}}};
  const auto run = [&](GatePositions positions) {
    return Sweep(engine, pairs, {.metric = Metric::nll, .positions = positions}, {})
        .run(variants, {});
  };
  const auto all = run(GatePositions::all);
  const auto prompt = run(GatePositions::prompt);
  const auto generated = run(GatePositions::generated);
  for (std::size_t p = 0; p < pairs.size(); ++p) {
    CHECK(all.values[p] == prompt.values[p]);  // nothing is gated in the first variant
    CHECK(all.values[p] == generated.values[p]);
    CHECK(all.values[2 + p] != prompt.values[2 + p]);
    CHECK(all.values[2 + p] != generated.values[2 + p]);
  }
}

TEST_CASE("engine: nll is the mean of -log p over the continuation") {
  const Engine engine = engine_for("neox");
  std::vector<Pair> pairs = some_pairs(1);
  pairs[0].continuation = {7, 200, 31};
  pairs[0].correct.clear();
  pairs[0].incorrect.clear();
  const Sweep sweep(engine, pairs, {.metric = Metric::nll}, {});
  const std::vector<AblationVariant> none(1);
  const double ours = sweep.run(none, {}).values[0];
  LogitsRequest request;
  request.prompts = {pairs[0].clean};
  request.prompts[0].insert(request.prompts[0].end(), {7, 200});
  request.all_positions = true;
  const HostArray<float> logits = compute_logits(engine, request, {});
  const auto vocab = static_cast<std::size_t>(engine.config().vocab);
  double expected = 0.0;
  for (std::size_t i = 0; i < 3; ++i) {
    const float* row = logits.data() + (pairs[0].clean.size() - 1 + i) * vocab;
    double total = 0.0;
    for (std::size_t j = 0; j < vocab; ++j) total += std::exp(static_cast<double>(row[j]));
    expected += (std::log(total) - row[pairs[0].continuation[i]]) / 3.0;
  }
  CHECK(std::fabs(ours - expected) <= 1e-5);
}

TEST_CASE("engine: bad pairs and heads are refused by name; a stop request ends a run") {
  const Engine engine = engine_for("qwen2");
  const auto code_of = [&](auto&& action) {
    try {
      action();
    } catch (const Error& error) {
      return std::string(error_code_name(error.code()));
    }
    return std::string("none");
  };
  std::vector<Pair> pairs = some_pairs(2);
  pairs[1].corrupted.pop_back();
  CHECK(code_of([&] { attribute(engine, pairs, {}, {}); }) == "ERR_HEADSPARK_PAIR_LENGTH");
  pairs = some_pairs(2);
  pairs[0].clean[0] = 100000;
  CHECK(code_of([&] { attribute(engine, pairs, {}, {}); }) == "ERR_HEADSPARK_PAIR_FORMAT");
  pairs = some_pairs(2);
  pairs[0].correct.clear();
  CHECK(code_of([&] { attribute(engine, pairs, {}, {}); }) == "ERR_HEADSPARK_PAIR_FORMAT");
  const Sweep sweep(engine, some_pairs(1), {}, {});
  const std::vector<AblationVariant> missing = {{{{9, 0, 0.0f}}}};
  CHECK(code_of([&] { sweep.run(missing, {}); }) == "ERR_HEADSPARK_INVALID_ARGUMENT");
  const Engine small = engine_for("qwen2", {.memory_bytes = 1 << 16});
  CHECK(code_of([&] { attribute(small, some_pairs(2), {}, {}); }) == "ERR_HEADSPARK_OUT_OF_MEMORY");
  RunControl stopped;
  stopped.stop_hook = [] { return true; };
  CHECK(code_of([&] { attribute(engine, some_pairs(2), {}, stopped); }) ==
        "ERR_HEADSPARK_CANCELLED");
}

}  // namespace headspark::golden
