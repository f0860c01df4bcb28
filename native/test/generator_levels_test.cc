// The generator on every level of kernels, the readable specification included: the same tokens and
// margins alone and in any company, after preemption, and when a run is killed and taken up again.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "generation_fixture.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

/// Greedy and drawn rows of several variants, with replacements that go round. Few and short: the
/// slowest levels are hundreds of times slower than the fastest.
std::vector<GenerationRequest> mixed_requests(std::size_t count) {
  std::vector<GenerationRequest> requests;
  const std::vector<GenerationRequest> many = many_requests(4 * count);
  for (std::size_t i = 0; i < count; ++i) {
    requests.push_back(many[i * 7 % many.size()]);
    requests[i].max_new_tokens = 2 + static_cast<std::int32_t>(i * 7 % 8);
    const auto begin = static_cast<std::int32_t>(i % 4);
    requests[i].replacement = {.begin = begin, .length = 5, .loop = 2 + begin % 3};
  }
  return requests;
}

/// Three rows that grow over two page borders; two of them fit twenty-four pages at their end.
std::vector<GenerationRequest> growing_requests() {
  std::vector<GenerationRequest> requests = mixed_requests(3);
  for (GenerationRequest& request : requests) {
    request.prompt.resize(30, 7);
    request.max_new_tokens = 38;
  }
  return requests;
}

GenerationOptions options_for(const Engine& engine, std::int32_t max_rows) {
  const ModelConfig& config = engine.config();
  GenerationOptions options{.max_rows = max_rows};
  options.replacement =
      Random(12).values(8 * config.layers * config.heads * config.head_dim, -0.5f, 0.5f);
  return options;
}

/// Kills a generation after some steps, again and again, and starts anew with what is unfinished.
std::vector<Outcome> run_killed(const Engine& engine,
                                const std::vector<GenerationRequest>& requests, std::uint64_t seed,
                                int& kills) {
  Random random(seed);
  std::map<std::size_t, Outcome> finished;
  while (finished.size() < requests.size()) {
    Generator generator(engine,
                        options_for(engine, 1 + static_cast<std::int32_t>(random.below(9))));
    std::vector<std::size_t> own;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (finished.count(i) != 0) continue;
      generator.add(requests[i]);
      own.push_back(i);
    }
    std::map<std::uint64_t, Outcome> open;
    const std::int64_t steps = 3 + random.below(8);
    for (std::int64_t step = 0; step < steps && !generator.idle(); ++step) {
      generator.step({}, [&](const GenerationEvent& event) {
        Outcome& outcome = open[event.request];
        outcome.tokens.push_back(event.token);
        outcome.margins.push_back(event.margin);
        outcome.finish = event.finish;
        if (event.finish != Finish::none) finished[own[event.request]] = outcome;
      });
    }
    ++kills;
  }
  std::vector<Outcome> outcomes;
  for (auto& [request, outcome] : finished) outcomes.push_back(std::move(outcome));
  return outcomes;
}

}  // namespace

TEST_CASE(
    "generator: on every level a row is the same in any company, after preemption and kills") {
  const std::vector<GenerationRequest> requests = mixed_requests(14);
  const std::vector<GenerationRequest> growing = growing_requests();
  for (const Isa isa : cpu_levels()) {
    CAPTURE(std::string(isa_name(isa)));
    const Engine engine = engine_for("qwen2", 2, isa);
    const std::vector<Outcome> alone =
        run_requests(engine, requests, options_for(engine, 1)).outcomes;
    CHECK(run_requests(engine, requests, options_for(engine, 5), 3).outcomes == alone);
    CHECK(run_requests(engine_for("qwen2", 1, isa), requests, options_for(engine, 14)).outcomes ==
          alone);
    int kills = 0;
    CHECK(run_killed(engine, requests, 3, kills) == alone);
    CHECK(kills > 2);
    GenerationOptions small = options_for(engine, 3);
    small.memory_bytes = budget_of(engine, 24);
    const Run squeezed = run_requests(engine, growing, small);
    CHECK(squeezed.stats.preemptions > 0);
    CHECK(squeezed.outcomes == run_requests(engine, growing, options_for(engine, 3)).outcomes);
  }
}

TEST_CASE("generator: levels agree on greedy rows up to their first near-tie") {
  const std::vector<GenerationRequest> requests = mixed_requests(24);
  const Engine specification = engine_for("qwen2", 2, Isa::specification);
  const std::vector<Outcome> expected =
      run_requests(specification, requests, options_for(specification, 16)).outcomes;
  for (const Isa isa : cpu_levels()) {
    CAPTURE(std::string(isa_name(isa)));
    const Engine engine = engine_for("qwen2", 2, isa);
    const std::vector<Outcome> found =
        run_requests(engine, requests, options_for(engine, 16)).outcomes;
    std::size_t compared = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (requests[i].sampling.temperature > 0.0f) continue;
      for (std::size_t t = 0; t < expected[i].tokens.size(); ++t) {
        const float margin = expected[i].margins[t];
        if (margin < 1e-4f) break;  // logits of the levels differ by less than half of that
        REQUIRE(t < found[i].tokens.size());
        CHECK(found[i].tokens[t] == expected[i].tokens[t]);
        CHECK(std::fabs(found[i].margins[t] - margin) <= 1e-4f);
        ++compared;
      }
    }
    CHECK(compared >= 20);
  }
}

}  // namespace headspark::test
