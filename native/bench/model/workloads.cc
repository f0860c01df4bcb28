// What headspark is used for, each timed, and verified on a few tokens against the specification:
// prefill, decode, EAP-IG, a sweep over all heads, circuits of many sizes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "headspark/circuit_eval.h"
#include "headspark/generate.h"
#include "model/pairs_file.h"
#include "model/setup.h"
#include "model/work.h"

namespace headspark::bench {
namespace {

constexpr double exact_tolerance = 1e-3;
// bf16 activations through a whole model.
constexpr double fast_tolerance = 0.1;
constexpr std::size_t small_tokens = 6;

struct Workload {
  std::string name;
  double flops = 0;
  double bytes = 0;
  std::function<void()> run;
  /// What is compared, computed by an engine on few tokens.
  std::function<std::vector<float>(const Engine&)> small;
  std::string note;
  /// Instead of `small`, where results are choices: how wrong they are.
  std::function<double()> error = {};
  /// Whether a part of what is timed has the bits that it has alone.
  std::function<bool()> same_alone = {};
};

Workload prefill(const Setup& setup, std::size_t tokens, bool all_logits) {
  const ModelConfig& config = setup.config();
  const auto count = static_cast<std::int64_t>(tokens);
  const auto request = [&setup, all_logits](std::size_t length) {
    return LogitsRequest{{long_prompt(setup, length)}, {}, all_logits};
  };
  return {"prefill " + std::to_string(tokens) + (all_logits ? ", all logits" : ""),
          all_logits ? forward_flops(config, {0, count}) + logits_flops(config, count)
                     : last_token_flops(config, {0, count}) + logits_flops(config, 1),
          layer_weight_bytes(*setup.engine.model),
          [=, &setup] { compute_logits(setup.engine, request(tokens), {}); },
          [=](const Engine& engine) {
            const HostArray<float> logits = compute_logits(engine, request(small_tokens), {});
            return std::vector<float>(logits.begin(), logits.end());
          },
          "logits of " + std::to_string(small_tokens) + " tokens verified"};
}

/// How far below the largest logit the chosen tokens' logits are, at worst, relative to the largest
/// |logit|: near-equal logits may be ranked either way.
double decode_error(const Setup& setup, const GenerateRow& row) {
  const auto made = generate_greedy(setup.engine, {&row, 1}, {3, {}}, {}).front();
  std::vector<std::int32_t> tokens = row.prompt;
  tokens.insert(tokens.end(), made.begin(), made.end());
  const HostArray<float> logits = compute_logits(setup.specification, {{tokens}, {}, true}, {});
  const std::int64_t vocab = setup.config().vocab;
  double worst = 0;
  for (std::size_t i = 0; i < made.size(); ++i) {
    const auto position = static_cast<std::int64_t>(row.prompt.size() + i) - 1;
    const std::span<const float> at(logits.data() + position * vocab,
                                    static_cast<std::size_t>(vocab));
    const auto [least, most] = std::minmax_element(at.begin(), at.end());
    const double scale = std::max(std::fabs(*least), std::fabs(*most));
    const double gap = (*most - at[static_cast<std::size_t>(made[i])]) / scale;
    if (!(gap <= worst)) worst = gap;
  }
  return made.size() == 3 ? worst : 1;
}

Workload decode(const Setup& setup, std::size_t rows, std::int32_t new_tokens) {
  const ModelConfig& config = setup.config();
  const std::vector<GenerateRow> prompts(rows, {long_prompt(setup, 8), {}});
  const double steps = new_tokens;
  const double step = forward_flops(config, {8 + new_tokens / 2, 1}) + logits_flops(config, 1);
  const double weights =
      layer_weight_bytes(*setup.engine.model) +
      static_cast<double>(config.vocab * config.hidden) *
          static_cast<double>(dtype_bytes(setup.engine.model->unembedding.view.dtype));
  return {"decode " + std::to_string(new_tokens) + " tokens, " + std::to_string(rows) + " rows",
          steps * step * static_cast<double>(rows),
          steps * weights,
          [=, &setup] {
            generate_greedy(setup.engine, prompts, {new_tokens, {}}, {});
          },
          {},
          "from 8 prompt tokens, included; the logits of 3 chosen tokens verified",
          [=, &setup] { return decode_error(setup, prompts.front()); }};
}

/// Whether the first and the last pair get the scores that they get by themselves.
bool same_scores_alone(const Setup& setup, const std::vector<Pair>& pairs) {
  const std::vector<float> all = attribute(setup.engine, pairs, {}, {}).pair_scores;
  const std::size_t edges = all.size() / pairs.size();
  for (const std::size_t at : {std::size_t{0}, pairs.size() - 1}) {
    const auto one = attribute(setup.engine, std::span(pairs).subspan(at, 1), {}, {}).pair_scores;
    const float* const together = all.data() + at * edges;
    if (std::memcmp(one.data(), together, edges * sizeof(float)) != 0) return false;
  }
  return true;
}

Workload eap_ig(const Setup& setup, const std::string& name, const std::vector<Pair>& pairs) {
  double flops = 0;
  for (const Pair& pair : pairs) flops += eap_ig_flops(setup.config(), pair, 5);
  const AttributionOptions options;
  return {name + ", " + std::to_string(pairs.size()) + " pairs, 5 steps",
          flops,
          layer_weight_bytes(*setup.engine.model) * 2,
          [=, &setup] { attribute(setup.engine, pairs, options, {}); },
          [=, &setup](const Engine& engine) {
            AttributionOptions two = options;
            two.ig_steps = 2;
            return attribute(engine, small_pairs(setup, small_tokens), two, {}).scores;
          },
          "2 steps of a pair of " + std::to_string(small_tokens) +
              " tokens verified, and that two of the pairs get the same bits alone",
          {},
          [=, &setup] { return pairs.size() == 1 || same_scores_alone(setup, pairs); }};
}

Workload sweep(const Setup& setup) {
  double flops = 0;
  for (const Pair& pair : setup.pairs) {
    flops += head_sweep_flops(setup.config(), static_cast<std::int64_t>(pair.clean.size()));
  }
  const std::size_t most = setup.options.quick ? 16 : 0;
  const std::vector<AblationVariant> variants = single_heads(setup.config(), most);
  if (most != 0) flops = 0;  // the count is of all heads
  const auto run = [](const Engine& engine, const std::vector<Pair>& pairs,
                      std::span<const AblationVariant> heads) {
    return Sweep(engine, pairs, {}, {}).run(heads, {}).values;
  };
  return {"sweep of " + std::to_string(variants.size()) + " single heads, " +
              std::to_string(setup.pairs.size()) + " prompts",
          flops,
          layer_weight_bytes(*setup.engine.model),
          [=, &setup] { run(setup.engine, setup.pairs, variants); },
          [=, &setup](const Engine& engine) {
            const std::vector<AblationVariant> few{variants.front(), variants.back()};
            return run(engine, small_pairs(setup, small_tokens), few);
          },
          "preparation included; 2 heads on " + std::to_string(small_tokens) + " tokens verified"};
}

Workload circuits(const Setup& setup) {
  const std::int64_t edges = make_graph(setup.config(), KvEdges::per_query_head).edges();
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = 100; size < edges; size *= setup.options.quick ? 20 : 4) {
    sizes.push_back(size);
  }
  if (sizes.empty()) sizes.push_back((edges + 1) / 2);
  double flops = 0;
  for (const Pair& pair : setup.pairs) {
    for (const std::int64_t size : sizes) flops += circuit_flops(setup.config(), pair, size);
  }
  const std::vector<std::uint8_t> masks = circuits_of_sizes(setup, sizes);
  const std::size_t one = masks.size() / sizes.size();
  return {"circuit evaluation, " + std::to_string(sizes.size()) + " sizes, " +
              std::to_string(setup.pairs.size()) + " pairs",
          flops,
          layer_weight_bytes(*setup.engine.model),
          [=, &setup] { evaluate_circuits(setup.engine, setup.pairs, masks, {}, {}); },
          [=, &setup](const Engine& engine) {
            const std::span<const std::uint8_t> mask(masks.data(), one);
            return evaluate_circuits(engine, small_pairs(setup, small_tokens), mask, {}, {}).values;
          },
          "sizes from 100 on; one circuit on " + std::to_string(small_tokens) + " tokens verified"};
}

Check verify(const Setup& setup, const Workload& w) {
  if (w.same_alone && !w.same_alone()) return {std::numeric_limits<double>::infinity(), 0};
  return {w.error ? w.error() : relative_error(w.small(setup.engine), w.small(setup.specification)),
          setup.options.precision == Precision::exact ? exact_tolerance : fast_tolerance};
}

/// What packs and copies weights, before the clock: on a CPU few tokens do, and more would take
/// long.
void warm_up(const Setup& setup, const Workload& w) {
  if (setup.engine.context.on_cpu() && w.small) {
    w.small(setup.engine);
  } else {
    w.run();
  }
}

void bench_workload(Report& report, const Setup& setup, const Workload& w) {
  Result result;
  result.name = w.name;
  result.flops = w.flops;
  result.bytes = w.bytes;
  result.note = w.note;
  warm_up(setup, w);
  const bool measured = setup.engine.context.on_cpu() && reset_peak_memory();
  result.timing = time_interleaved({&w.run, 1}, setup.budget()).front();
  if (measured) result.peak_memory = peak_memory_bytes();
  // On a model of 7B the specification takes longer than all of this.
  report.add(result, [&] { return verify(setup, w); });
}

// Made one at a time and by need: some prepare inputs that take time.
struct Maker {
  std::string name;
  Workload (*make)(const Setup&);
};

std::int32_t decoded(const Setup& setup, std::int32_t quick, std::int32_t tokens) {
  return setup.options.quick ? quick : tokens;
}

const std::vector<Maker>& makers() {
  static const std::vector<Maker> all{
      {"prefill", [](const Setup& setup) { return prefill(setup, 512, false); }},
      {"prefill all logits", [](const Setup& setup) { return prefill(setup, 512, true); }},
      {"decode 1", [](const Setup& setup) { return decode(setup, 1, decoded(setup, 16, 64)); }},
      {"decode 16", [](const Setup& setup) { return decode(setup, 16, decoded(setup, 8, 32)); }},
      {"eap-ig", [](const Setup& setup) { return eap_ig(setup, "eap-ig", setup.pairs); }},
      {"sweep", sweep},
      {"circuit evaluation", circuits},
  };
  return all;
}

}  // namespace

void bench_workloads(Report& report, const Setup& setup) {
  for (const Maker& maker : makers()) {
    if (!setup.options.selects(maker.name)) continue;
    report.attempt(maker.name, [&] { bench_workload(report, setup, maker.make(setup)); });
  }
}

void bench_adapter(Report& report, const Setup& setup) {
  if (setup.options.adapter.empty()) return;
  const Setup with = adapted(setup);
  for (const Maker& maker : makers()) {
    const std::string name = "adapter / none, " + maker.name;
    if (!setup.options.selects(name)) continue;
    const Workload none = maker.make(setup);
    const Workload low_rank = maker.make(with);
    const std::function<void()> runs[] = {none.run, low_rank.run};
    const Check check = verify(with, low_rank);
    none.run();
    Budget budget = setup.budget();
    budget.milliseconds *= 2;
    const std::vector<Timing> timings = time_interleaved(runs, budget);
    Ratio ratio;
    ratio.name = name;
    ratio.fast = timings[0];
    ratio.slow = timings[1];
    ratio.difference = check.error;
    ratio.tolerance = check.tolerance;
    ratio.note = low_rank.name + "; with the adapter " + low_rank.note;
    report.add(ratio);
  }
}

}  // namespace headspark::bench
