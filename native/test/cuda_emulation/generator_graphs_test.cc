// Generation with repeated steps: to the bit what it is with every kernel launched by itself,
// whatever joins, leaves, grows or fails in between, and most steps do come from graphs.
#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "cuda_emulation/library_backend.h"
#include "cuda_emulation/runtime_emulated.h"
#include "engine/repeated_step.h"
#include "generation_fixture.h"
#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

constexpr const char* kSetting = "HEADSPARK_CUDA_GRAPHS";

/// No graphs for one scope.
struct Plain {
  Plain() { setenv(kSetting, "none", 1); }
  ~Plain() { unsetenv(kSetting); }
};

constexpr std::int64_t kVocab = 64;

/// A corner of the model of engine_for, as small as still has layers, groups and products of
/// several tiles, with room for long contexts.
Engine engine_of(std::int64_t positions = 128, std::size_t layers = 2) {
  Engine engine = engine_for("qwen2");
  auto model = std::make_shared<Model>(*engine.model);
  model->config.max_positions = positions;
  model->config.layers = static_cast<std::int64_t>(layers);
  model->config.vocab = kVocab;
  model->config.intermediate = 64;
  model->embedding.rows = kVocab;
  model->unembedding.view.rows = kVocab;
  model->layers.resize(layers);
  for (LayerWeights& layer : model->layers) {
    layer.gate.view.rows = 64;
    layer.up.view.rows = 64;
    layer.down.view.cols = 64;
  }
  engine.model = model;
  engine.context.precision = Precision::fast;
  return engine;
}

std::vector<std::int32_t> prompt_of(std::uint64_t seed, std::int64_t tokens) {
  Random random(seed);
  std::vector<std::int32_t> prompt;
  for (std::int64_t i = 0; i < tokens; ++i) {
    prompt.push_back(static_cast<std::int32_t>(random.below(kVocab)));
  }
  return prompt;
}

/// A request that differs in all that `i` decides.
GenerationRequest request_of(std::size_t i, std::int32_t new_tokens) {
  GenerationRequest request;
  request.prompt = prompt_of(1 + i % 3, 5 + static_cast<std::int64_t>(i % 3));
  if (i % 3 != 0) request.heads = {{static_cast<std::int32_t>(i % 2), 1, 0.0f}, {1, 5, 1.5f}};
  request.positions = i % 5 == 4 ? GatePositions::generated : GatePositions::all;
  if (i % 2 == 1) request.sampling.temperature = 1.5f;
  if (i % 4 == 3) request.sampling.top_p = 0.9f;
  if (i % 4 >= 2) request.sampling.repetition_penalty = 1.3f;
  request.seed = 77 + i;
  request.max_new_tokens = new_tokens;
  return request;
}

std::vector<GenerationRequest> requests_of(std::size_t count, std::int32_t least,
                                           std::int32_t more) {
  std::vector<GenerationRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    const auto extra = static_cast<std::int32_t>(5 * i) % more;
    requests.push_back(request_of(i, least + extra));
  }
  return requests;
}

/// Both ways, which must be equal; the stats with graphs.
GenerationStats check_equal(const Engine& engine, const std::vector<GenerationRequest>& requests,
                            const GenerationOptions& options, std::size_t at_once = 1000000) {
  const Run repeated = run_requests(engine, requests, options, at_once);
  const Plain plain;
  const Run expected = run_requests(engine, requests, options, at_once);
  CHECK(expected.stats.step_repeats.plain == 0);  // nobody asked
  CHECK(expected.stats.steps == repeated.stats.steps);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CAPTURE(i);
    CHECK(repeated.outcomes[i] == expected.outcomes[i]);
  }
  const RepeatCounts& steps = repeated.stats.step_repeats;
  CHECK(steps.recorded > 0);
  CHECK(steps.repeated >= steps.recorded);
  CHECK(steps.plain + steps.repeated <= repeated.stats.steps);
  CHECK(repeated.stats.draw_repeats.repeated > 0);
  return repeated.stats;
}

}  // namespace

TEST_CASE("repeated step: rows are filled up to few sizes, never past the most") {
  CHECK(padded_rows(1, 64) == 1);
  CHECK(padded_rows(3, 64) == 4);
  CHECK(padded_rows(5, 64) == 8);
  CHECK(padded_rows(5, 6) == 6);
  CHECK(padded_rows(9, 64) == 16);
  CHECK(padded_rows(17, 64) == 24);
  CHECK(padded_rows(65, 256) == 80);
  CHECK(padded_rows(250, 256) == 256);
  CHECK(padded_rows(250, 250) == 250);
}

TEST_CASE("decode graphs: rows that join and leave, with gates of their own, greedy and sampled") {
  const Engine engine = engine_of();
  const std::vector<GenerationRequest> requests = requests_of(7, 5, 4);
  const GenerationStats stats = check_equal(engine, requests, {.max_rows = 4}, 2);
  CHECK(2 * stats.step_repeats.repeated > stats.steps);
  CHECK(2 * stats.draw_repeats.repeated > stats.steps);
  // Of the tables of pages little more than what changes goes to the device.
  const std::int64_t whole = 4 * engine.config().layers * 8;
  CHECK(3 * stats.uploaded_pages < whole * stats.steps);
}

TEST_CASE("decode graphs: replacements by position, with another precision and by cuBLASLt") {
  Engine engine = engine_of();
  const ModelConfig& config = engine.config();
  GenerationOptions options{.max_rows = 3};
  std::vector<GenerationRequest> requests = requests_of(3, 5, 2);
  SUBCASE("replacements") {
    const std::int64_t row = config.layers * config.heads * config.head_dim;
    options.replacement = Random(8).values(9 * row, -0.3f, 0.3f);
    for (GenerationRequest& request : requests) {
      request.replacement = {.begin = 1, .length = 7, .loop = 4};
    }
  }
  SUBCASE("exact") {
    engine.context.precision = Precision::exact;
  }
  SUBCASE("cuBLASLt") {
    engine.context.backend = make_library_backend();
  }
  check_equal(engine, requests, options);
}

TEST_CASE("decode graphs: variants share the pages of their prompt below their gates only") {
  const Engine engine = engine_of(128, 3);
  std::vector<GenerationRequest> requests;
  for (const std::int32_t layer : {-1, 0, 1, 1}) {
    GenerationRequest request{.prompt = prompt_of(3, 35), .max_new_tokens = 5};
    if (layer >= 0) request.heads = {{layer, 1, -2.0f}, {layer, 4, 3.0f}};
    requests.push_back(request);
  }
  check_equal(engine, requests, {.max_rows = 4});
  // A row alone has no plan.
  const Run together = run_requests(engine, requests, {.max_rows = 4});
  const Run alone = run_requests(engine, requests, {.max_rows = 1});
  CHECK(together.outcomes == alone.outcomes);
  CHECK(together.outcomes[2] == together.outcomes[3]);
  for (const std::size_t i : {1, 2}) CHECK(together.outcomes[i] != together.outcomes[0]);
}

// Launches of a step of so many rows that share a prompt, which was repeated or launched one by
// one.
std::int64_t launches_of(const Engine& engine, int rows) {
  Generator generator(engine, {.max_rows = rows});
  for (int i = 0; i < rows; ++i) {
    generator.add({.prompt = prompt_of(3, 5), .max_new_tokens = 8});
  }
  std::int64_t launches = 0;
  for (int step = 0; step < 6; ++step) {
    const std::int64_t before = cuda::emulated_work();
    generator.step({}, [](const GenerationEvent&) {});
    launches = cuda::emulated_work() - before;
  }
  return launches;
}

TEST_CASE("decode graphs: a step of several rows plans its layers once") {
  const Engine engine = engine_of(128, 3);
  // Beside the two of the plan, each layer has one for what rows share.
  CHECK(launches_of(engine, 4) == launches_of(engine, 1) + 2 + 3);
  const Plain plain;
  CHECK(launches_of(engine, 4) == launches_of(engine, 1) + 2 + 3);
}

TEST_CASE("decode graphs: contexts that grow past a split, beside one that stays short") {
  const Engine engine = engine_of(1024);
  std::vector<GenerationRequest> requests = requests_of(2, 10, 3);
  requests[1].prompt = prompt_of(4, 252);
  const GenerationStats stats = check_equal(engine, requests, {.max_rows = 2});
  CHECK(stats.step_repeats.recorded >= 2);
}

TEST_CASE("decode graphs: rows that share a prompt go on past the window of a layer") {
  Engine engine = engine_of();
  auto windowed = std::make_shared<Model>(*engine.model);
  windowed->config.windowed = {1, 0};
  windowed->config.window = 5;
  engine.model = windowed;
  std::vector<GenerationRequest> requests(3, {.prompt = prompt_of(9, 40), .max_new_tokens = 14});
  requests[1].heads = {{1, 5, 0.0f}};  // below it both have the pages of the ungated run
  requests[2].heads = {{0, 1, 0.0f}};
  check_equal(engine, requests, {.max_rows = 3});
  engine.context.precision = Precision::exact;  // as near to plain attention as tokens need
  const Run run = run_requests(engine, requests, {.max_rows = 3});
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CAPTURE(i);
    PlainGates gates;
    gates.heads = requests[i].heads;
    for (std::size_t given = 2; given < 14; given += 9) {
      std::vector<std::int32_t> tokens = requests[i].prompt;
      const std::vector<std::int32_t>& drawn = run.outcomes[i].tokens;
      tokens.insert(tokens.end(), drawn.begin(),
                    drawn.begin() + static_cast<std::ptrdiff_t>(given));
      CHECK(plain_next(engine, tokens, gates).token == drawn[given]);
    }
  }
}

TEST_CASE("decode graphs: buffers that grow, and another job that moves scratch memory") {
  const Engine engine = engine_of();
  std::vector<GenerationRequest> requests = requests_of(6, 8, 3);
  const auto run = [&](GenerationStats& stats) {
    Generator generator(engine, {.max_rows = 6});
    std::vector<std::vector<std::int32_t>> tokens(requests.size());
    std::size_t added = 0;
    for (int step = 0; added < requests.size() || !generator.idle(); ++step) {
      // One row, then three, then six.
      const std::size_t wanted = step < 4 ? 1 : step < 7 ? 3 : 6;
      for (; added < wanted; ++added) generator.add(requests[added]);
      if (step == 5) {
        LogitsRequest other;
        other.prompts = {prompt_of(9, 100)};
        compute_logits(engine, other, {});
      }
      generator.step(
          {}, [&](const GenerationEvent& event) { tokens[event.request].push_back(event.token); });
    }
    stats = generator.stats();
    return tokens;
  };
  GenerationStats stats;
  const auto repeated = run(stats);
  CHECK(stats.step_repeats.dropped > 0);
  CHECK(stats.step_repeats.recorded >= 3);
  const Plain plain;
  CHECK(run(stats) == repeated);
  CHECK(cuda::emulated_graphs() == 0);
}

TEST_CASE("decode graphs: more shapes of steps than graphs are kept") {
  const Engine engine = engine_of();
  // Rows leave one after the other, so that there are two steps of every size: 12, 8, 4, 2 and 1;
  // first with gates, then without, then with gates once more.
  std::vector<GenerationRequest> requests;
  for (int i = 0; i < 12; ++i) {
    GenerationRequest request = request_of(static_cast<std::size_t>(i), 1);
    request.sampling = {};
    request.heads = {{i % 2, i % 6, 0.0f}};
    request.positions = GatePositions::generated;
    for (const int size : {12, 8, 4, 2, 1}) request.max_new_tokens += i < size ? 2 : 0;
    requests.push_back(request);
  }
  for (std::size_t i = 0; i < 24; ++i) {
    requests.push_back(requests[i % 12]);
    if (i < 12) requests.back().heads = {};
  }
  const auto run = [&](GenerationStats& stats) {
    Generator generator(engine, {.max_rows = 12});
    std::vector<std::vector<std::int32_t>> tokens(requests.size());
    for (std::size_t i = 0; i < requests.size(); ++i) {
      generator.add(requests[i]);
      while (i % 12 == 11 && !generator.idle()) {
        generator.step({}, [&](const GenerationEvent& event) {
          tokens[event.request].push_back(event.token);
        });
        CHECK(cuda::emulated_graphs() <= 16);  // eight of steps, eight of draws
      }
    }
    stats = generator.stats();
    return tokens;
  };
  GenerationStats stats;
  const auto repeated = run(stats);
  CHECK(stats.step_repeats.recorded > 10);
  CHECK(stats.step_repeats.dropped > 0);
  const Plain plain;
  CHECK(run(stats) == repeated);
  CHECK(repeated[0] == repeated[24]);
}

TEST_CASE("decode graphs: rows that are computed again when memory runs out") {
  const Engine engine = engine_of();
  std::vector<GenerationRequest> requests = requests_of(2, 36, 2);
  for (std::size_t i = 0; i < requests.size(); ++i) requests[i].prompt = prompt_of(i, 31);
  // In each of two layers three pages for each row, the second of which finds the last one taken.
  const GenerationStats stats =
      check_equal(engine, requests, {.max_rows = 2, .memory_bytes = budget_of(engine, 11)});
  CHECK(stats.preemptions > 0);
}

TEST_CASE("decode graphs: a run that is cancelled at any layer goes on as if it had not been") {
  const Engine engine = engine_of();
  const std::vector<GenerationRequest> requests = requests_of(2, 6, 1);
  const auto run = [&](int stopped_step, int stopped_check) {
    Generator generator(engine, {});
    for (const GenerationRequest& request : requests) generator.add(request);
    std::vector<std::vector<std::int32_t>> tokens(requests.size());
    for (int step = 0; !generator.idle(); ++step) {
      int checks = 0;
      RunControl control;
      control.stop_hook = [&] { return step == stopped_step && ++checks == stopped_check; };
      const auto sink = [&](const GenerationEvent& event) {
        tokens[event.request].push_back(event.token);
      };
      try {
        generator.step(control, sink);
        CHECK(step != stopped_step);
      } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::CANCELLED);
        CHECK(step == stopped_step);
      }
    }
    CHECK(generator.stats().step_repeats.repeated > 0);
    return tokens;
  };
  const auto expected = run(-1, 0);
  // Steps 1 and 2 are plain and recorded; check 1 is the step's, 2 that before the pass.
  for (const auto& [step, check] : {std::pair(1, 4), {2, 3}, {2, 4}, {3, 2}}) {
    CAPTURE(step);
    CAPTURE(check);
    CHECK(run(step, check) == expected);
  }
}

TEST_CASE("decode graphs: a driver that refuses them gets every kernel by itself") {
  const Engine engine = engine_of();
  const std::vector<GenerationRequest> requests = requests_of(2, 6, 2);
  const Run expected = run_requests(engine, requests, {});
  CHECK(expected.stats.step_repeats.repeated > 0);
  cuda::refuse_captures(true);
  const Run refused = run_requests(engine, requests, {});
  cuda::refuse_captures(false);
  CHECK(refused.outcomes == expected.outcomes);
  CHECK(refused.stats.step_repeats.recorded == 0);
  CHECK(refused.stats.step_repeats.plain > 0);
}

TEST_CASE(
    "decode on a device: what does not fit is refused before the run, with what was planned") {
  const Engine engine = engine_of(1024);
  const std::int64_t used = cuda::emulated_bytes_in_use();
  cuda::set_emulated_memory(used + (std::int64_t{30} << 20));
  const std::int64_t rows = 60000;
  std::string message;
  try {
    Generator generator(engine, {.max_rows = rows});
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::OUT_OF_MEMORY);
    message = error.what();
  }
  cuda::set_emulated_memory(std::int64_t{4} << 30);
  for (const char* part :
       {"60000 rows", "for activations", "141 MiB for attention", "--max-rows"}) {
    CAPTURE(part);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  }
}

}  // namespace headspark::test
