// z of heads on sequences: against the trace of a forward pass, means against sums by hand, and the
// same bits for any batch and number of threads.
#include "headspark/head_activations.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/forward.h"
#include "engine/mean_activations.h"
#include "engine/pair_block.h"
#include "generation_fixture.h"
#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

HeadActivationsRequest request_for(ActivationRows rows) {
  HeadActivationsRequest request{.sequences = prompts(4), .rows = rows, .write_norms = true};
  request.sequences[1].resize(3);
  return request;
}

}  // namespace

TEST_CASE("head activations: tokens are those of a forward pass, means are their means") {
  const Engine engine = engine_for("qwen2");
  const ModelConfig& config = engine.config();
  const std::int64_t width = config.heads * config.head_dim;
  const HeadActivationsRequest request = request_for(ActivationRows::tokens);
  const HeadActivations tokens = head_activations(engine, request, {});
  std::int64_t count = 0;
  std::int64_t longest = 0;
  for (const auto& sequence : request.sequences) {
    BatchRows rows;
    rows.add(sequence);
    const Batch batch(engine.context, std::move(rows));
    Trace trace(engine, batch.tokens(), {.sources = true});
    const RotaryTables rotary = rotary_for(engine, batch.tokens());
    run_forward(engine, batch, {.rotary = &rotary}, trace, {});
    for (std::int64_t layer = 0; layer < config.layers; ++layer) {
      std::vector<float> z(static_cast<std::size_t>(batch.tokens() * width));
      engine.context.backend->copy_to_host(z.data(), trace.layer(layer).z,
                                           batch.tokens() * width * 4);
      const auto from = tokens.z.begin() + (layer * tokens.rows + count) * width;
      check_same_bits("z", {from, from + batch.tokens() * width}, z);
    }
    count += batch.tokens();
    longest = std::max(longest, batch.tokens());
  }
  CHECK(tokens.rows == count);

  const HeadActivations mean = head_activations(engine, request_for(ActivationRows::mean), {});
  const HeadActivations positions =
      head_activations(engine, request_for(ActivationRows::mean_per_position), {});
  CHECK(mean.rows == 1);
  CHECK(positions.rows == longest + 1);
  CHECK(mean.write_norms == tokens.write_norms);
  CHECK(positions.write_norms == tokens.write_norms);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    for (std::int64_t i = 0; i < width; ++i) {
      std::vector<double> sums(static_cast<std::size_t>(longest) + 1, 0.0);
      std::vector<int> counts(static_cast<std::size_t>(longest) + 1, 0);
      std::int64_t token = 0;
      for (const auto& sequence : request.sequences) {
        for (std::size_t p = 0; p < sequence.size(); ++p, ++token) {
          const double z = tokens.z[static_cast<std::size_t>((layer * count + token) * width + i)];
          for (const std::size_t slot : {p, static_cast<std::size_t>(longest)}) {
            sums[slot] += z;
            ++counts[slot];
          }
        }
      }
      for (std::size_t slot = 0; slot < sums.size(); ++slot) {
        const auto row = layer * positions.rows + static_cast<std::int64_t>(slot);
        CHECK(positions.z[static_cast<std::size_t>(row * width + i)] ==
              static_cast<float>(sums[slot] / counts[slot]));
      }
      CHECK(mean.z[static_cast<std::size_t>(layer * width + i)] ==
            static_cast<float>(sums.back() / counts.back()));
    }
  }
}

TEST_CASE("head activations: means are those of the ablation sweeps") {
  const Engine engine = engine_for("neox");
  const HeadActivationsRequest request = request_for(ActivationRows::mean);
  std::vector<Pair> pairs;
  for (const auto& sequence : request.sequences) {
    Pair pair;
    pair.clean = sequence;
    pair.corrupted = sequence;
    pairs.push_back(pair);
  }
  const MeanActivations expected = mean_activations(engine, pairs, false, {});
  const HeadActivations found = head_activations(engine, request, {});
  std::vector<float> z;
  for (const auto& layer : expected.z) z.insert(z.end(), layer.begin(), layer.end());
  CHECK(found.z == z);
}

void check_write_norms(const Engine& engine) {
  const ModelConfig& config = engine.config();
  HeadActivationsRequest request = request_for(ActivationRows::tokens);
  const HeadActivations found = head_activations(engine, request, {});
  BatchRows rows;
  for (const auto& sequence : request.sequences) rows.add(sequence);
  const Batch batch(engine.context, std::move(rows));
  Trace trace(engine, batch.tokens(), {.sources = true});
  const RotaryTables rotary = rotary_for(engine, 64);
  run_forward(engine, batch, {.rotary = &rotary}, trace, {});
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::int64_t stride = found.rows * config.hidden;
    Buffer<float> writes(engine.context.backend, config.heads * stride);
    expand_head_writes(engine, layer, found.rows, trace.layer(layer).written, writes.data(),
                       stride);
    const std::vector<float> host = writes.to_host();
    for (std::int64_t head = 0; head < config.heads; ++head) {
      double sum = 0.0;
      for (std::int64_t token = 0; token < found.rows; ++token) {
        double squares = 0.0;
        for (std::int64_t i = 0; i < config.hidden; ++i) {
          const double value =
              host[static_cast<std::size_t>(head * stride + token * config.hidden + i)];
          squares += value * value;
        }
        sum += std::sqrt(squares);
      }
      const double expected = sum / static_cast<double>(found.rows);
      const double norm = found.write_norms[static_cast<std::size_t>(layer * config.heads + head)];
      CHECK(std::fabs(norm - expected) <= 1e-5 * expected);
      CHECK(norm > 0.0);
    }
  }
  request.write_norms = false;
  CHECK(head_activations(engine, request, {}).write_norms.empty());
}

TEST_CASE("head activations: write norms are the lengths of what heads write") {
  check_write_norms(engine_for("neox"));
  check_write_norms(engine_for("olmo2"));
  check_write_norms(engine_for("gemma3"));
  check_write_norms(engine_for("granite"));
}

TEST_CASE("head activations: the same bits for any batch and threads, and refusals by name") {
  Engine engine = engine_for("qwen2");
  for (const ActivationRows rows :
       {ActivationRows::mean, ActivationRows::mean_per_position, ActivationRows::tokens}) {
    const HeadActivations expected = head_activations(engine, request_for(rows), {});
    for (const int threads : {1, 3}) {
      Engine other = engine_for("qwen2", threads);
      other.options.batch_tokens = threads == 1 ? 1 : 20;
      const HeadActivations found = head_activations(other, request_for(rows), {});
      CHECK(found.z == expected.z);
      CHECK(found.write_norms == expected.write_norms);
    }
  }
  const auto refused = [&](std::vector<std::vector<std::int32_t>> sequences, const char* message) {
    CHECK_THROWS_WITH_AS(head_activations(engine, {std::move(sequences)}, {}),
                         doctest::Contains(message), Error);
  };
  refused({}, "at least one sequence");
  refused({{1}, {}}, "no tokens");
  refused({{1, 5000}}, "outside the vocabulary");
  refused({std::vector<std::int32_t>(200, 1)}, "positions");
}

}  // namespace headspark::test
