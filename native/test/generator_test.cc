// Continuous batching: a row's tokens depend on its request alone, prompts are computed once, and
// memory is kept to.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "engine/kv_pages.h"
#include "generation_fixture.h"
#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {

TEST_CASE(
    "generator: ten thousand tokens are the same for any batch and threads and memory and "
    "arrival") {
  for (const char* name : {"qwen2", "neox"}) {
    CAPTURE(std::string(name));
    const std::vector<GenerationRequest> requests = many_requests(260);
    const Engine engine = engine_for(name);
    const Run expected = run_requests(engine, requests, {.max_rows = 64});
    std::size_t tokens = 0;
    for (const Outcome& outcome : expected.outcomes) tokens += outcome.tokens.size();
    CHECK(tokens >= 10000);
    CHECK(expected.stats.preemptions == 0);
    CHECK(run_requests(engine, requests, {.max_rows = 1}).outcomes == expected.outcomes);
    CHECK(run_requests(engine, requests, {.max_rows = 7}, 2).outcomes == expected.outcomes);
    CHECK(run_requests(engine_for(name, 1), requests, {.max_rows = 64}).outcomes ==
          expected.outcomes);
    CHECK(run_requests(engine_for(name, 3), requests, {.max_rows = 13}, 5).outcomes ==
          expected.outcomes);
    std::int64_t preemptions = 0;
    for (const std::int64_t pages : {17, 24, 52}) {
      const Run squeezed = run_requests(engine, requests,
                                        {.max_rows = 64, .memory_bytes = budget_of(engine, pages)});
      CHECK(squeezed.outcomes == expected.outcomes);
      CHECK(squeezed.stats.most_pages_used <= squeezed.stats.page_capacity);
      preemptions += squeezed.stats.preemptions;
    }
    CHECK(preemptions > 3);
    std::vector<GenerationRequest> reversed(requests.rbegin(), requests.rend());
    Run backwards = run_requests(engine, reversed, {.max_rows = 30});
    std::reverse(backwards.outcomes.begin(), backwards.outcomes.end());
    CHECK(backwards.outcomes == expected.outcomes);
  }
}

// Every position of every row against a plain forward pass, for one table of replacements.
void check_gates(const Engine& engine, const PlainGates& gates) {
  const std::vector<std::int32_t> prompt = prompts(1)[0];
  const auto length = static_cast<std::int32_t>(prompt.size());
  const int count = 24;
  std::vector<GenerationRequest> requests;
  for (const GatePositions positions :
       {GatePositions::all, GatePositions::prompt, GatePositions::generated}) {
    GenerationRequest request{.prompt = prompt, .heads = gates.heads, .positions = positions};
    request.replacement = gates.run;
    request.max_new_tokens = count;
    requests.push_back(request);
  }
  requests.push_back({.prompt = prompt, .heads = {}, .max_new_tokens = count});
  GenerationOptions options;
  options.replacement = gates.table;
  const Run run = run_requests(engine, requests, options);
  const std::int32_t ranges[][2] = {{0, 1000}, {0, length}, {length, 1000}, {0, 0}};
  int different = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    std::vector<std::int32_t> tokens = prompt;
    PlainGates plain = gates;
    plain.begin = ranges[i][0];
    plain.end = ranges[i][1];
    for (int step = 0; step < count; ++step) {
      const Next next = plain_next(engine, tokens, plain);
      tokens.push_back(next.token);
      const float margin = run.outcomes[i].margins[static_cast<std::size_t>(step)];
      CHECK(std::fabs(margin - next.margin) <= 1e-5f);
    }
    CHECK(run.outcomes[i].tokens ==
          std::vector<std::int32_t>(tokens.begin() + length, tokens.end()));
    if (i < 3 && run.outcomes[i].tokens != run.outcomes[3].tokens) ++different;
  }
  CHECK(different == 3);
  // Gates after the prompt leave the first token alone.
  CHECK(run.outcomes[2].tokens[0] == run.outcomes[3].tokens[0]);
}

TEST_CASE("generator: gates act at the positions they are given, with every replacement") {
  const Engine engine = engine_for("qwen2");
  const ModelConfig& config = engine.config();
  const std::int64_t row = config.layers * config.heads * config.head_dim;
  PlainGates gates;
  gates.heads = {{1, 0, 0.0f}, {1, 3, 2.0f}, {2, 5, 0.5f}, {3, 1, 0.0f}};
  check_gates(engine, gates);
  gates.table = Random(8).values(row, -0.3f, 0.3f);
  check_gates(engine, gates);
  // A run of another sequence that goes round inside the prompt and many times after it.
  gates.table = Random(9).values(23 * row, -0.6f, 0.6f);
  gates.run = {.begin = 4, .length = 7, .loop = 5};
  check_gates(engine, gates);
  gates.run = {.begin = 0, .length = 23, .loop = 22};  // means by position, then over all
  check_gates(engine, gates);
  gates.run = {};  // one row of many
  check_gates(engine, gates);
}

TEST_CASE("generator: gates act where norms stand after attention and layers rotate differently") {
  for (const char* name : {"olmo2", "olmo3", "gemma3", "granite"}) {
    CAPTURE(std::string(name));
    const Engine engine = engine_for(name);
    const ModelConfig& config = engine.config();
    PlainGates gates;
    gates.heads = {{0, 1, 0.0f}, {1, 0, 0.0f}, {1, 3, 2.0f}, {2, 2, 0.5f}};
    check_gates(engine, gates);
    gates.table = Random(8).values(config.layers * config.heads * config.head_dim, -0.3f, 0.3f);
    check_gates(engine, gates);
  }
}

TEST_CASE(
    "generator: a prompt is computed once for its samples and below a gate for all variants") {
  const Engine engine = engine_for("qwen2");
  const std::int64_t layers = engine.config().layers;
  const std::vector<std::int32_t> prompt = prompts(1)[0];
  const auto length = static_cast<std::int64_t>(prompt.size());
  const auto variant = [&](std::int32_t layer, GatePositions positions) {
    GenerationRequest request{.prompt = prompt, .positions = positions};
    if (layer >= 0) request.heads = {{layer, 1, 0.0f}};
    request.max_new_tokens = 3;
    return request;
  };
  const auto prefilled = [&](const std::vector<GenerationRequest>& requests) {
    return run_requests(engine, requests, {.max_rows = 32}).stats.prefilled_layer_tokens;
  };
  const GatePositions all = GatePositions::all;
  const std::vector<GenerationRequest> samples(16, variant(-1, all));
  CHECK(prefilled(samples) == length * layers);
  CHECK(prefilled({variant(-1, all), variant(2, GatePositions::generated)}) == length * layers);
  CHECK(prefilled({variant(2, all)}) == length * layers);
  CHECK(prefilled({variant(0, all)}) == length * layers);
  // The trunk to layer 3, then 4 - 1, 4 - 2 and 4 - 3 layers.
  CHECK(prefilled({variant(1, all), variant(2, all), variant(3, all), variant(3, all)}) ==
        length * (3 + 3 + 2 + 1));
  // The whole trunk for the ungated row, whichever comes first.
  CHECK(prefilled({variant(3, all), variant(-1, all), variant(1, all)}) ==
        length * (layers + 1 + 3));
  // Factors of 1 are no gate.
  GenerationRequest untouched = variant(2, all);
  untouched.heads[0].factor = 1.0f;
  CHECK(prefilled({untouched, variant(-1, all)}) == length * layers);
}

TEST_CASE("generator: pages before the window of every layer that reads them are given up") {
  const Engine engine = engine_for("olmo3");  // a window of 6 tokens in two of three layers
  GenerationRequest request{.prompt = {5, 9, 2}, .max_new_tokens = 60};
  std::vector<std::int64_t> used;
  std::vector<std::int32_t> tokens = request.prompt;
  Generator generator(engine, {});
  generator.add(request);
  while (!generator.idle()) {
    generator.step({}, [&](const GenerationEvent& event) {
      tokens.push_back(event.token);
      CHECK(event.token == plain_next(engine, {tokens.begin(), tokens.end() - 1}, {}).token);
    });
    used.push_back(generator.stats().pages_used);
  }
  CHECK(tokens.size() == 63);
  // A page of zeros, the prompt's page in each layer, and the row's own: its second one from the
  // 33rd token on, its first one in the layers with a window until the 38th.
  CHECK(used[10] == 1 + 3 + 3);
  CHECK(used[33] == 1 + 3 + 6);
  CHECK(used[45] == 1 + 3 + 4);
}

TEST_CASE(
    "generator: a row longer than the memory has room for fits by the windows of its layers") {
  Engine engine = engine_for("mistral");  // a window of 3 tokens in all three layers
  Model longer = *engine.model;
  longer.config.max_positions = 1000;
  engine.model = std::make_shared<const Model>(longer);
  Engine whole = engine;
  longer.config.windowed.clear();
  whole.model = std::make_shared<const Model>(longer);
  // Of 700 tokens 22 pages in each layer, of the longest pass with its window 18.
  const GenerationRequest request{.prompt = {1, 2}, .max_new_tokens = 699};
  const GenerationOptions little{.max_rows = 4, .memory_bytes = budget_of(engine, 60)};
  Generator unbounded(whole, little);
  CHECK_THROWS_WITH_AS(unbounded.add(request), doctest::Contains("raise the budget"), Error);
  const std::vector<GenerationRequest> requests(3, request);
  const Run squeezed = run_requests(engine, requests, little);
  CHECK(squeezed.outcomes == run_requests(engine, requests, {.max_rows = 4}).outcomes);
  CHECK(squeezed.outcomes[0].tokens.size() == 699);
  CHECK(squeezed.stats.most_pages_used < 3 * 22);
}

TEST_CASE("generator: samples share the pages of their prompt") {
  const Engine engine = engine_for("qwen2");
  std::vector<std::int32_t> prompt(100);
  for (std::int32_t i = 0; i < 100; ++i) prompt[static_cast<std::size_t>(i)] = i * 3;
  const std::vector<GenerationRequest> one(1, {.prompt = prompt, .max_new_tokens = 10});
  const std::vector<GenerationRequest> many(40, {.prompt = prompt, .max_new_tokens = 10});
  const std::int64_t alone = run_requests(engine, one, {}).stats.most_pages_used;
  const std::int64_t together = run_requests(engine, many, {.max_rows = 40}).stats.most_pages_used;
  // 4 pages a layer for the prompt, of which the last is each row's own.
  CHECK(alone == engine.config().layers * 5);
  CHECK(together == engine.config().layers * (4 + 40));
}

TEST_CASE("generator: rows end at stop tokens, at their length and at the last position") {
  const Engine engine = engine_for("qwen2");
  GenerationRequest request{.prompt = prompts(1)[0], .max_new_tokens = 12};
  const Outcome free = run_requests(engine, {request}, {}).outcomes[0];
  CHECK(free.finish == Finish::length);
  CHECK(free.tokens.size() == 12);
  request.stop_tokens = {5000000, free.tokens[4]};
  const Outcome stopped = run_requests(engine, {request}, {}).outcomes[0];
  const auto end = std::find(free.tokens.begin(), free.tokens.end(), free.tokens[4]);
  CHECK(stopped.finish == Finish::stop_token);
  CHECK(stopped.tokens == std::vector<std::int32_t>(free.tokens.begin(), end + 1));
  request.stop_tokens.clear();
  request.max_new_tokens = 0;
  CHECK(run_requests(engine, {request}, {}).outcomes[0] == Outcome{{}, {}, Finish::length});
  request.prompt.assign(120, 3);
  request.max_new_tokens = 1000;
  const Outcome full = run_requests(engine, {request}, {}).outcomes[0];
  CHECK(full.finish == Finish::context);
  CHECK(full.tokens.size() == 128 - 120 + 1);  // the last token needs no position
  request.prompt.assign(128, 3);
  CHECK(run_requests(engine, {request}, {}).outcomes[0].tokens.size() == 1);
}

TEST_CASE("generator: a stopped row leaves and the others go on") {
  const Engine engine = engine_for("qwen2");
  const auto texts = prompts(3);
  std::vector<GenerationRequest> requests;
  for (const auto& prompt : texts) requests.push_back({.prompt = prompt, .max_new_tokens = 15});
  const Run expected = run_requests(engine, requests, {});
  Generator generator(engine, {.max_rows = 2});
  for (const GenerationRequest& request : requests) generator.add(request);
  std::map<std::uint64_t, std::vector<std::int32_t>> tokens;
  for (int step = 0; !generator.idle(); ++step) {
    if (step == 4) generator.stop(0);
    if (step == 6) generator.stop(77);
    generator.step(
        {}, [&](const GenerationEvent& event) { tokens[event.request].push_back(event.token); });
  }
  CHECK(tokens[0].size() == 4);
  CHECK(tokens[1] == expected.outcomes[1].tokens);
  CHECK(tokens[2] == expected.outcomes[2].tokens);
}

TEST_CASE("generator: what cannot be done is refused by name") {
  const Engine engine = engine_for("qwen2");
  Generator generator(engine, {});
  const GenerationRequest good{.prompt = {1, 2, 3}};
  const auto refused = [&](GenerationRequest bad, const char* message) {
    CHECK_THROWS_WITH_AS(generator.add(std::move(bad)), doctest::Contains(message), Error);
  };
  refused({}, "no tokens");
  GenerationRequest bad = good;
  bad.prompt = {1, 307};
  refused(bad, "outside the vocabulary");
  bad = good;
  bad.heads = {{9, 0, 0.0f}};
  refused(bad, "Head 9.0 does not exist");
  bad = good;
  bad.sampling.top_p = 2.0f;
  refused(bad, "top_p");
  bad = good;
  bad.max_new_tokens = -1;
  refused(bad, "max_new_tokens");
  bad = good;
  bad.prompt.assign(129, 1);
  refused(bad, "128 positions");
  CHECK(generator.idle());
  CHECK_THROWS_WITH_AS(Generator(engine, {.max_rows = 0}), doctest::Contains("max_rows"), Error);
  GenerationOptions options;
  options.replacement = {1.0f};
  CHECK_THROWS_WITH_AS(Generator(engine, options), doctest::Contains("replacement has 1"), Error);
  const ModelConfig& config = engine.config();
  options.replacement.assign(
      static_cast<std::size_t>(3 * config.layers * config.heads * config.head_dim), 0.0f);
  Generator with_table(engine, options);
  for (const ReplacementRun run :
       {ReplacementRun{.begin = 1, .length = 3}, ReplacementRun{-1, 2}, ReplacementRun{.length = 0},
        ReplacementRun{0, 2, 2}, ReplacementRun{0, 2, -1}}) {
    bad = good;
    bad.replacement = run;
    CHECK_THROWS_WITH_AS(with_table.add(bad), doctest::Contains("does not fit a table of 3 rows"),
                         Error);
  }
  // 3 pages in each of 4 layers: 96 tokens fit, 97 do not, and nothing fails in mid-run.
  Generator small(engine, {.memory_bytes = budget_of(engine, 12)});
  bad = good;
  bad.max_new_tokens = 95;
  CHECK_THROWS_WITH_AS(small.add(bad), doctest::Contains("raise the budget"), Error);
  for (int i = 0; i < 3; ++i) {
    GenerationRequest row = good;
    row.max_new_tokens = 94;
    row.heads = {{i + 1, 0, 0.0f}};
    small.add(row);
  }
  int ended = 0;
  while (!small.idle()) {
    small.step({}, [&](const GenerationEvent& event) {
      if (event.finish == Finish::length) ++ended;
    });
  }
  CHECK(ended == 3);
}

TEST_CASE("generator: a stop request ends a step") {
  const Engine engine = engine_for("qwen2");
  Generator generator(engine, {});
  generator.add({.prompt = {1, 2, 3}});
  RunControl control;
  control.stop_hook = [] { return true; };
  CHECK_THROWS_WITH_AS(generator.step(control, [](const GenerationEvent&) {}),
                       doctest::Contains("cancelled"), Error);
}

TEST_CASE("kv pages: references, copies on write, and the budget") {
  const Engine engine = engine_for("qwen2");
  const KvPageLayout layout{engine.config().kv_heads, engine.config().head_dim,
                            kv_page_type(engine.context)};
  KvPagePool pool(engine, 10 * layout.floats() * 4);
  CHECK(pool.capacity() == 10);
  {
    KvSequence first(pool, 2);
    CHECK(first.missing({0, 2}, 0, 40) == 4);
    REQUIRE(first.make_writable({0, 2}, 0, 40));
    CHECK(pool.used() == 4);
    CHECK(first.make_writable({0, 2}, 0, 40));
    CHECK(pool.used() == 4);
    Backend& backend = *engine.context.backend;
    const float written = 42.0f;
    backend.copy_to_device(pool.data(first.layer(1)[1]) + 7, &written, sizeof written);
    KvSequence second(pool, 2);
    second.share(first, {0, 2}, 40);
    CHECK(pool.used() == 4);
    CHECK(pool.shared(first.layer(0)[0]));
    CHECK(second.missing({0, 2}, 40, 65) == 4);
    REQUIRE(second.make_writable({0, 2}, 40, 65));
    CHECK(pool.used() == 8);
    CHECK(second.layer(1)[0] == first.layer(1)[0]);
    CHECK(second.layer(1)[1] != first.layer(1)[1]);
    float copied = 0.0f;
    backend.copy_to_host(&copied, pool.data(second.layer(1)[1]) + 7, sizeof copied);
    CHECK(copied == written);
    CHECK(first.make_writable({0, 2}, 40, 41));  // its own again
    CHECK(pool.used() == 8);
    CHECK(pool.borrow(2 * pool.page_bytes() - 1));
    CHECK_FALSE(pool.borrow(1));
    CHECK_FALSE(first.make_writable({0, 2}, 64, 65));
    CHECK(first.layer(0).size() == 2);
    pool.give_back(2 * pool.page_bytes() - 1);
    CHECK(first.make_writable({0, 2}, 64, 65));
    first.clear();
    CHECK(pool.used() == 6);
  }
  CHECK(pool.used() == 0);
  CHECK(pool.most_used() == 10);
}

}  // namespace headspark::test
