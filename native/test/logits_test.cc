// Logits for the host: where they are wanted, all of them, with the same bits in any batch.
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/output_rows.h"
#include "op_suite.h"
#include "reference_models.h"
#include "suite_device.h"

namespace headspark::golden {
namespace {

using test::check_same_bits;
using test::GuardedArray;
using test::Random;

/// One implementation of the ops under an engine.
struct Kernels {
  std::string name;
  Context context;
};

/// Every level of the CPU in both precisions, or the device of this program as an engine makes it.
std::vector<Kernels> kernels_for(const Engine& engine, int threads) {
  if (test::suite_device() != DeviceKind::cpu) return {{"the device", engine.context}};
  std::vector<Kernels> all;
  for (const Isa isa : test::cpu_levels()) {
    for (const Precision precision : {Precision::exact, Precision::fast}) {
      all.push_back({std::string(isa_name(isa)) + (precision == Precision::fast ? ", fast" : ""),
                     make_cpu_context(threads, isa, precision)});
    }
  }
  return all;
}

LogitsRequest some_request(bool all_positions) {
  LogitsRequest request;
  for (const Pair& pair : some_pairs(5)) request.prompts.push_back(pair.clean);
  request.prompts[1].resize(3);
  request.heads.assign(request.prompts.size(), {{1, 2, 0.0f}});
  request.all_positions = all_positions;
  return request;
}

std::vector<float> one_by_one(const Engine& engine, const LogitsRequest& request) {
  std::vector<float> expected;
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    const HostArray<float> logits = compute_logits(
        engine, {{request.prompts[i]}, {request.heads[i]}, request.all_positions}, {});
    expected.insert(expected.end(), logits.begin(), logits.end());
  }
  return expected;
}

}  // namespace

TEST_CASE("logits: all are written, and nothing beside them, with the bits of a row alone") {
  for (const char* model : kModels) {
    Engine engine = engine_for(model);
    const std::int64_t vocab = engine.config().vocab;
    const std::int64_t hidden = engine.config().hidden;
    for (const Kernels& kernels : kernels_for(engine, 2)) {
      CAPTURE(std::string(model) + " on " + kernels.name);
      engine.context = kernels.context;
      const std::int32_t most = 1100;  // more than one part, in place and copied
      const std::vector<float> values = Random(3).values(most * hidden);
      const Buffer<float> residual(engine.context.backend, std::span(values));
      GuardedArray one("one row", vocab);
      for (const std::int32_t count : {1, 65, most}) {
        std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
        for (std::int32_t i = 0; i < count; ++i) {
          tokens[static_cast<std::size_t>(i)] = most - 1 - i;
        }
        GuardedArray logits("logits", count * vocab);
        run_logits_to_host(engine, residual.data(), tokens, logits.data());
        CHECK(logits.guards_intact());
        CHECK(logits.fully_written());
        for (const std::int32_t row : {0, count / 2, count - 1}) {
          const std::int32_t token[] = {tokens[static_cast<std::size_t>(row)]};
          run_logits_to_host(engine, residual.data(), token, one.data());
          check_same_bits("row " + std::to_string(row),
                          {logits.data() + row * vocab, logits.data() + (row + 1) * vocab},
                          one.values());
        }
      }
    }
  }
}

TEST_CASE("logits: any batch and thread count gives those of each prompt by itself") {
  for (const bool all_positions : {false, true}) {
    const LogitsRequest request = some_request(all_positions);
    const std::vector<float> expected = one_by_one(engine_for("qwen2", {.threads = 1}), request);
    for (const int threads : {1, 3}) {
      for (const std::int64_t batch_tokens : {0, 1, 20}) {
        const Engine engine =
            engine_for("qwen2", {.threads = threads, .batch_tokens = batch_tokens});
        std::uint64_t done = 0;
        RunControl control;
        control.progress_hook = [&](const Progress& progress) {
          if (progress.phase == "prompts") done = progress.done;
        };
        const HostArray<float> logits = compute_logits(engine, request, control);
        check_same_bits(std::to_string(threads) + " threads, batches of " +
                            std::to_string(batch_tokens) + " tokens",
                        {logits.begin(), logits.end()}, expected);
        CHECK(done == request.prompts.size());
      }
    }
  }
}

TEST_CASE("logits: heads of each prompt gate that prompt alone") {
  for (const bool all_positions : {false, true}) {
    const Engine engine = engine_for("qwen2", {.threads = 2, .batch_tokens = 20});
    LogitsRequest request = some_request(all_positions);
    for (std::size_t i = 0; i < request.prompts.size(); ++i) {
      std::vector<GatedHead>& heads = request.heads[i];
      heads.clear();
      if (i != 2) heads.push_back({static_cast<std::int32_t>(i % 4), 1, i == 0 ? 0.0f : 1.5f});
    }
    const std::vector<float> expected = one_by_one(engine, request);
    const HostArray<float> logits = compute_logits(engine, request, {});
    check_same_bits("logits", {logits.begin(), logits.end()}, expected);
    request.heads.pop_back();
    CHECK_THROWS_WITH_AS(compute_logits(engine, request, {}),
                         doctest::Contains("not those of every prompt"), Error);
  }
}

TEST_CASE("logits: of no prompts are none, and a bad prompt is refused before anything runs") {
  const Engine engine = engine_for("qwen2", {.threads = 1, .batch_tokens = 1});
  CHECK(compute_logits(engine, {}, {}).empty());
  RunControl control;
  control.progress_hook = [](const Progress&) { FAIL("ran"); };
  LogitsRequest request = some_request(true);
  request.prompts.back() = {};
  CHECK_THROWS_WITH_AS(compute_logits(engine, request, control),
                       doctest::Contains("A prompt has no tokens"), Error);
  request.prompts.back() = {static_cast<std::int32_t>(engine.config().vocab)};
  CHECK_THROWS_WITH_AS(compute_logits(engine, request, control),
                       doctest::Contains("outside the vocabulary"), Error);
  request.prompts.back().assign(static_cast<std::size_t>(engine.config().max_positions) + 1, 0);
  CHECK_THROWS_WITH_AS(compute_logits(engine, request, control), doctest::Contains("longer than"),
                       Error);
}

}  // namespace headspark::golden
