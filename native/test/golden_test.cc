// The engine against Hugging Face transformers and hannamw/EAP-IG on every golden folder.
#include "golden.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>

#include "headspark/attribution.h"
#include "headspark/circuit_eval.h"
#include "headspark/generate.h"
#include "suite_device.h"

namespace headspark::golden {
namespace {

/// One golden folder and how closely it must be met.
struct GoldenCase {
  std::string name;
  std::filesystem::path model;
  std::filesystem::path adapter;
  std::filesystem::path pairs;
  std::filesystem::path golden;
  double logits = 1e-4;
  double gradient_scores = 1e-4;  ///< EAP and EAP-IG-inputs, of the largest |score|
  double other_scores = 1e-3;
};

/// HEADSPARK_GOLDENS=qwen2,gpt2 runs only these: the emulated device takes its time.
bool wanted(const GoldenCase& golden) {
  const char* names = std::getenv("HEADSPARK_GOLDENS");
  return names == nullptr ||
         ("," + std::string(names) + ",").find("," + golden.name + ",") != std::string::npos;
}

std::vector<GoldenCase> all_cases() {
  const std::filesystem::path shared = shared_folder();
  std::vector<GoldenCase> list;
  if (shared.empty()) return list;
  for (const char* name : {"qwen2", "qwen3", "llama", "gpt2", "neox"}) {
    const std::filesystem::path folder = shared / "reference" / name;
    list.push_back({name, folder, "", shared / "reference/pairs.jsonl", folder / "golden"});
  }
  const std::filesystem::path stories = shared / "models/stories260K";
  list.push_back({"stories260K", stories, "", stories / "pairs.jsonl", stories / "golden"});
  const std::filesystem::path arith = shared / "models/tiny-arith";
  list.push_back({"tiny-arith", arith / "base-step1000", "", arith / "pairs.jsonl",
                  arith / "golden-base-step1000"});
  if (const char* unpacked = std::getenv("HEADSPARK_SMOLLM2")) {
    const std::filesystem::path folder = shared / "models/smollm2-135m";
    list.push_back({"smollm2-135m", unpacked, "", folder / "ioi-16.jsonl", folder / "golden", 2e-4,
                    2e-4, 1e-3});
    list.push_back({"smollm2-135m steps-step300", unpacked, folder / "adapters/steps-step300",
                    folder / "sums-steps-8.jsonl", folder / "golden-steps-step300", 2e-4, 2e-4,
                    1e-3});
  }
  return list;
}

std::vector<GoldenCase> cases() {
  std::vector<GoldenCase> list = all_cases();
  std::erase_if(list, [](const GoldenCase& golden) { return !wanted(golden); });
  return list;
}

/// How a golden weighs the pairs of its batches of b (the last may be short).
enum class BatchScale {
  none,         ///< plain mean over pairs
  gradient,     ///< the metric is averaged within a batch, then divided by all pairs
  batch_means,  ///< exact: the mean over batches of each batch's mean
};

std::vector<float> reference_scale(const AttributionResult& result, BatchScale scale,
                                   std::int64_t batch) {
  if (scale == BatchScale::none) return result.scores;
  const Graph& graph = result.graph;
  std::vector<double> sums(result.scores.size(), 0.0);
  const auto edges = static_cast<std::size_t>(graph.edges());
  for (std::int64_t pair = 0; pair < result.pairs; ++pair) {
    const std::int64_t begin = pair / batch * batch;
    const auto size = static_cast<double>(std::min(batch, result.pairs - begin));
    std::size_t edge = static_cast<std::size_t>(pair) * edges;
    for (std::int64_t source = 0; source < graph.sources(); ++source) {
      for (std::int64_t column = 0; column < graph.destinations(); ++column) {
        if (source >= graph.sources_of_column(column)) continue;
        sums[static_cast<std::size_t>(source * graph.destinations() + column)] +=
            static_cast<double>(result.pair_scores[edge++]) / size;
      }
    }
  }
  const std::int64_t divided =
      scale == BatchScale::gradient ? result.pairs : (result.pairs + batch - 1) / batch;
  const auto divisor = static_cast<double>(divided);
  std::vector<float> scores;
  for (const double sum : sums) {
    scores.push_back(static_cast<float>(sum / divisor));
  }
  return scores;
}

double largest_magnitude(const std::vector<float>& values) {
  double largest = 0.0;
  for (const float value : values)
    largest = std::max(largest, std::fabs(static_cast<double>(value)));
  return largest;
}

struct MethodCase {
  const char* file;
  AttributionMethod method;
  Metric metric;
  BatchScale scale;
  bool strict;  ///< EAP and EAP-IG-inputs: the tighter tolerance
};

constexpr MethodCase kMethods[] = {
    {"EAP", AttributionMethod::eap, Metric::logit_diff, BatchScale::gradient, true},
    {"EAP-IG-inputs", AttributionMethod::eap_ig_inputs, Metric::logit_diff, BatchScale::gradient,
     true},
    {"EAP-IG-inputs-kl", AttributionMethod::eap_ig_inputs, Metric::kl, BatchScale::gradient, false},
    {"clean-corrupted", AttributionMethod::clean_corrupted, Metric::logit_diff,
     BatchScale::gradient, false},
    {"EAP-IG-activations", AttributionMethod::eap_ig_activations, Metric::logit_diff,
     BatchScale::gradient, false},
    {"information-flow-routes", AttributionMethod::information_flow_routes, Metric::logit_diff,
     BatchScale::none, false},
    {"exact", AttributionMethod::exact, Metric::logit_diff, BatchScale::batch_means, false},
};

Engine engine_of(const GoldenCase& golden) {
  std::shared_ptr<const Model> model = load_model(golden.model, {}, {});
  if (!golden.adapter.empty()) model = with_adapter(model, golden.adapter, {});
  EngineOptions options;
  options.device = test::suite_device();
  options.share_prefix = std::getenv("HEADSPARK_TEST_NO_SHARING") == nullptr;
  return make_engine(model, options);
}

void check_scores(const GoldenCase& golden, const Engine& engine, const MethodCase& method) {
  const std::filesystem::path file = golden.golden / (std::string(method.file) + ".npy");
  if (!std::filesystem::exists(file)) return;
  CAPTURE(std::string(method.file));
  const std::vector<Pair> pairs = read_pairs(golden.pairs);
  const nlohmann::json settings = read_json(golden.golden / "golden.json");
  AttributionOptions options;
  options.method = method.method;
  options.metric = method.metric;
  options.ig_steps = settings.at("steps").get<int>();
  // The reference's loops: 0 … m-1 over inputs, 1 … m over activations.
  const bool activations = method.method == AttributionMethod::eap_ig_activations;
  options.ig_grid = activations ? IgGrid::right : IgGrid::left;
  const AttributionResult result = attribute(engine, pairs, options, {});
  const std::vector<float> ours =
      reference_scale(result, method.scale, settings.at("batch").get<std::int64_t>());
  const std::vector<float> theirs = read_npy(file).values;
  const double error = max_difference(ours, theirs) / largest_magnitude(theirs);
  std::printf("  %-26s %-24s max|diff| / max|score| = %.2e\n", golden.name.c_str(), method.file,
              error);
  CHECK(error <= (method.strict ? golden.gradient_scores : golden.other_scores));
}

/// Largest |score| first; ties in index order; then pruned until every node has edges on both
/// sides.
std::vector<std::uint8_t> top_edges(const Graph& graph, const std::vector<float>& scores,
                                    std::size_t count) {
  const std::int64_t columns = graph.destinations();
  std::vector<std::int64_t> edges;
  for (std::int64_t edge = 0; edge < graph.sources() * columns; ++edge) {
    if (edge / columns < graph.sources_of_column(edge % columns)) edges.push_back(edge);
  }
  std::stable_sort(edges.begin(), edges.end(), [&](std::int64_t a, std::int64_t b) {
    return std::fabs(scores[static_cast<std::size_t>(a)]) >
           std::fabs(scores[static_cast<std::size_t>(b)]);
  });
  std::vector<std::uint8_t> mask(scores.size(), 0);
  for (std::size_t i = 0; i < count; ++i) mask[static_cast<std::size_t>(edges[i])] = 1;
  return mask;
}

/// Source node of a destination column; -1 for the logits, which need no outgoing edge.
std::int64_t node_of_column(const Graph& graph, std::int64_t column) {
  const std::int64_t layer = column / graph.layer_columns();
  if (layer == graph.layers) return -1;
  if (column == graph.mlp_column(layer)) return graph.mlp_source(layer);
  return graph.head_source(layer, column % graph.layer_columns() % graph.heads);
}

void prune(const Graph& graph, std::vector<std::uint8_t>& mask) {
  const std::int64_t columns = graph.destinations();
  for (bool changed = true; changed;) {
    changed = false;
    std::vector<bool> in(static_cast<std::size_t>(graph.sources()), false);
    std::vector<bool> out(static_cast<std::size_t>(graph.sources()), false);
    in[0] = true;  // the input needs no incoming edge
    for (std::int64_t edge = 0; edge < graph.sources() * columns; ++edge) {
      if (mask[static_cast<std::size_t>(edge)] == 0) continue;
      out[static_cast<std::size_t>(edge / columns)] = true;
      const std::int64_t node = node_of_column(graph, edge % columns);
      if (node >= 0) in[static_cast<std::size_t>(node)] = true;
    }
    for (std::int64_t edge = 0; edge < graph.sources() * columns; ++edge) {
      if (mask[static_cast<std::size_t>(edge)] == 0) continue;
      const std::int64_t node = node_of_column(graph, edge % columns);
      const bool keep = in[static_cast<std::size_t>(edge / columns)] &&
                        (node < 0 || out[static_cast<std::size_t>(node)]);
      if (!keep) {
        mask[static_cast<std::size_t>(edge)] = 0;
        changed = true;
      }
    }
  }
}

void check_circuits(const GoldenCase& golden, const Engine& engine) {
  const nlohmann::json settings = read_json(golden.golden / "golden.json");
  const std::vector<Pair> pairs = read_pairs(golden.pairs);
  const Graph graph = make_graph(engine.config(), KvEdges::per_query_head);
  CHECK(graph.edges() == settings.at("edges").get<std::int64_t>());
  const std::vector<float> scores = read_npy(golden.golden / "EAP-IG-inputs.npy").values;
  std::vector<std::uint8_t> masks;
  for (const nlohmann::json& circuit : settings.at("circuits")) {
    std::vector<std::uint8_t> mask =
        top_edges(graph, scores, circuit.at("topn").get<std::size_t>());
    prune(graph, mask);
    CHECK(std::count(mask.begin(), mask.end(), 1) ==
          circuit.at("edges_after_prune").get<std::int64_t>());
    masks.insert(masks.end(), mask.begin(), mask.end());
  }
  const CircuitEvalResult result = evaluate_circuits(engine, pairs, masks, {}, {});
  double largest = 0.0;
  for (std::size_t i = 0; i < settings.at("circuits").size(); ++i) {
    double sum = 0.0;
    for (std::size_t pair = 0; pair < pairs.size(); ++pair) {
      sum += result.values[i * pairs.size() + pair];
    }
    const double value = sum / static_cast<double>(pairs.size());
    const double theirs = settings.at("circuits")[i].at("logit_diff").get<double>();
    const double difference = std::fabs(value - theirs);
    if (!(difference <= largest)) largest = difference;
    CHECK(difference <= golden.logits);
  }
  std::printf("  %-26s %-24s max|diff| = %.2e\n", golden.name.c_str(), "circuit values", largest);
}

std::vector<std::vector<GatedHead>> head_cases(const GoldenCase& golden) {
  std::vector<std::vector<GatedHead>> cases{{}};
  for (const nlohmann::json& scaled : read_json(golden.golden / "scaled_head_cases.json")) {
    std::vector<GatedHead> heads;
    for (const nlohmann::json& head : scaled) {
      heads.push_back({head.at("layer").get<std::int32_t>(), head.at("head").get<std::int32_t>(),
                       head.at("factor").get<float>()});
    }
    cases.push_back(heads);
  }
  return cases;
}

void check_logits(const GoldenCase& golden, const Engine& engine) {
  const std::vector<Pair> pairs = read_pairs(golden.pairs);
  const Array last = read_npy(golden.golden / "last_logits.npy");
  LogitsRequest request;
  for (std::int64_t i = 0; i < last.shape.at(0); ++i) {
    request.prompts.push_back(pairs.at(static_cast<std::size_t>(i)).clean);
  }
  double error = max_difference(compute_logits(engine, request, {}), last.values);
  std::printf("  %-26s %-24s max|diff| = %.2e\n", golden.name.c_str(), "last_logits", error);
  CHECK(error <= golden.logits);
  const std::filesystem::path first_file = golden.golden / "first_prompt_logits.npy";
  if (!std::filesystem::exists(first_file)) return;
  const Array first = read_npy(first_file);
  request.prompts.resize(1);
  request.all_positions = true;
  error = max_difference(compute_logits(engine, request, {}), first.values);
  std::printf("  %-26s %-24s max|diff| = %.2e\n", golden.name.c_str(), "first_prompt_logits",
              error);
  CHECK(error <= golden.logits);
}

void check_scaled_heads(const GoldenCase& golden, const Engine& engine) {
  const std::vector<Pair> pairs = read_pairs(golden.pairs);
  const Array scaled = read_npy(golden.golden / "scaled_head_logits.npy");
  const auto cases = head_cases(golden);
  const std::int64_t per_case = scaled.shape.size() == 3 ? scaled.shape.at(1) : 1;
  std::vector<float> ours;
  for (std::size_t i = 1; i < cases.size(); ++i) {
    LogitsRequest request;
    for (std::int64_t p = 0; p < per_case; ++p) {
      request.prompts.push_back(pairs.at(static_cast<std::size_t>(p)).clean);
      request.heads.push_back(cases[i]);
    }
    const HostArray<float> logits = compute_logits(engine, request, {});
    ours.insert(ours.end(), logits.begin(), logits.end());
  }
  const double error = max_difference(ours, scaled.values);
  std::printf("  %-26s %-24s max|diff| = %.2e\n", golden.name.c_str(), "scaled_head_logits", error);
  CHECK(error <= golden.logits);
}

void check_generations(const GoldenCase& golden, const Engine& engine) {
  const nlohmann::json json = read_json(golden.golden / "generations.json");
  const auto prompts = json.at("prompts").get<std::vector<std::vector<std::int32_t>>>();
  const auto greedy = json.at("greedy").get<std::vector<std::vector<std::int32_t>>>();
  const auto cases = head_cases(golden);
  std::vector<GenerateRow> rows;
  for (const auto& heads : cases) {
    for (const auto& prompt : prompts) rows.push_back({prompt, heads});
  }
  REQUIRE(rows.size() == greedy.size());
  GenerateOptions options;
  for (const auto& row : greedy) {
    options.max_new_tokens = std::max(options.max_new_tokens == 64 ? 0 : options.max_new_tokens,
                                      static_cast<std::int32_t>(row.size()));
  }
  const auto together = generate_greedy(engine, rows, options, {});
  int different = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    auto ours = together[i];
    ours.resize(std::min(ours.size(), greedy[i].size()));
    if (ours != greedy[i]) ++different;
    const auto alone = generate_greedy(engine, std::span(rows).subspan(i, 1), options, {});
    CHECK(alone[0] == together[i]);
  }
  std::printf("  %-26s %-24s %d of %zu rows differ\n", golden.name.c_str(), "greedy generations",
              different, rows.size());
  CHECK(different == 0);
}

void for_each_case(const std::function<void(const GoldenCase&, const Engine&)>& check) {
  const std::vector<GoldenCase> list = cases();
  if (list.empty()) MESSAGE("skipped: ../shared is absent");
  for (const GoldenCase& golden : list) {
    CAPTURE(golden.name);
    check(golden, engine_of(golden));
  }
}

void check_methods(bool strict) {
  for_each_case([&](const GoldenCase& golden, const Engine& engine) {
    for (const MethodCase& method : kMethods) {
      if (method.strict == strict) check_scores(golden, engine, method);
    }
  });
}

}  // namespace

TEST_CASE("goldens: logits and head-scaled logits") {
  for_each_case([](const GoldenCase& golden, const Engine& engine) {
    check_logits(golden, engine);
    check_scaled_heads(golden, engine);
  });
}

TEST_CASE("goldens: greedy generations") {
  for_each_case(check_generations);
}

TEST_CASE("goldens: circuit sizes and metric values") {
  for_each_case(check_circuits);
}

TEST_CASE("goldens: edge scores of EAP and EAP-IG-inputs") {
  check_methods(true);
}

TEST_CASE("goldens: edge scores of the other methods") {
  check_methods(false);
}

}  // namespace headspark::golden
