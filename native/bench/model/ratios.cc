// Alternatives that give the same result, timed in turn: prefix sharing on and off, gates and none.
#include "model/pairs_file.h"
#include "model/setup.h"

namespace headspark::bench {
namespace {

void bench_sharing(Report& report, const Setup& setup, const std::string& name,
                   const std::vector<Pair>& pairs) {
  Engine apart = setup.engine;
  apart.options.share_prefix = false;
  std::vector<float> with, without;
  const std::function<void()> runs[] = {
      [&] { with = attribute(setup.engine, pairs, {}, {}).scores; },
      [&] { without = attribute(apart, pairs, {}, {}).scores; },
  };
  const std::vector<Timing> timings =
      time_interleaved(runs, {setup.options.milliseconds, setup.options.quick ? 1 : 2});
  Ratio ratio;
  ratio.name = "prefix sharing off / on, " + name;
  ratio.fast = timings[0];
  ratio.slow = timings[1];
  ratio.difference = relative_error(without, with);
  ratio.tolerance = 1e-5;
  ratio.note = std::to_string(pairs.size()) + " pairs, " +
               std::to_string(shared_tokens(pairs.front())) + " of " +
               std::to_string(pairs.front().clean.size()) + " tokens shared (first pair)";
  report.add(ratio);
}

/// A forward with a gate on every head against one without; a gate of 1 must not change a bit.
void bench_gates(Report& report, const Setup& setup) {
  LogitsRequest request;
  for (const Pair& pair : setup.pairs) request.prompts.push_back(pair.clean);
  const auto all_heads = [&](float factor) {
    std::vector<GatedHead> heads;
    for (const AblationVariant& single : single_heads(setup.config())) {
      heads.push_back({single.heads.front().layer, single.heads.front().head, factor});
    }
    LogitsRequest gated = request;
    gated.heads.assign(request.prompts.size(), heads);
    return gated;
  };
  const LogitsRequest ones = all_heads(1.0f);
  const LogitsRequest zeros = all_heads(0.0f);
  HostArray<float> none_logits, one_logits;
  const std::function<void()> runs[] = {
      [&] { none_logits = compute_logits(setup.engine, request, {}); },
      [&] { one_logits = compute_logits(setup.engine, ones, {}); },
      [&] { compute_logits(setup.engine, zeros, {}); },
  };
  runs[0]();
  // Differences of a percent need many rounds.
  Budget budget = setup.budget();
  budget.milliseconds *= 4;
  budget.rounds *= 4;
  const std::vector<Timing> timings = time_interleaved(runs, budget);
  for (const int factor : {1, 0}) {
    Ratio ratio;
    ratio.name = "gates of " + std::to_string(factor) + " on every head / no gates";
    ratio.fast = timings[0];
    ratio.slow = timings[factor == 1 ? 1 : 2];
    if (factor == 1) ratio.difference = relative_error(one_logits, none_logits);
    ratio.note = "forward of " + std::to_string(setup.pairs.size()) + " prompts";
    report.add(ratio);
  }
}

}  // namespace

void bench_ratios(Report& report, const Setup& setup) {
  if (setup.options.selects("gates")) bench_gates(report, setup);
  if (setup.options.selects("sharing")) {
    if (shared_tokens(setup.pairs.front()) > 0) {
      bench_sharing(report, setup, "the pairs", setup.pairs);
    }
    if (!setup.paper_pairs.empty()) {
      bench_sharing(report, setup, "pairs as the paper makes them", setup.paper_pairs);
    }
  }
}

}  // namespace headspark::bench
