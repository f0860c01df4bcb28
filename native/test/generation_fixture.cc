// Requests and runs; the plain forward pass shares nothing with the scheduler but the layers.
#include "generation_fixture.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "engine/forward.h"
#include "engine/gate_replacement.h"
#include "engine/gates.h"
#include "engine/kv_pages.h"
#include "engine/output_rows.h"
#include "op_suite.h"
#include "reference_models.h"

namespace headspark::test {

Engine engine_for(const char* name, int threads) {
  return golden::engine_for(name, {.threads = threads});
}

Engine engine_for(const char* name, int threads, Isa isa) {
  Engine engine = engine_for(name, threads);
  engine.context.isa = isa;
  return engine;
}

std::vector<std::vector<std::int32_t>> prompts(std::size_t count) {
  std::vector<std::vector<std::int32_t>> result;
  for (const Pair& pair : golden::some_pairs(count)) result.push_back(pair.clean);
  return result;
}

Run run_requests(const Engine& engine, const std::vector<GenerationRequest>& requests,
                 const GenerationOptions& options, std::size_t at_once) {
  Generator generator(engine, options);
  Run run;
  run.outcomes.resize(requests.size());
  std::size_t added = 0;
  while (added < requests.size() || !generator.idle()) {
    for (std::size_t i = 0; i < at_once && added < requests.size(); ++i) {
      CHECK(generator.add(requests[added]) == added);
      ++added;
    }
    generator.step({}, [&](const GenerationEvent& event) {
      Outcome& outcome = run.outcomes[event.request];
      CHECK(outcome.finish == Finish::none);
      if (event.token >= 0) {
        const bool greedy = requests[event.request].sampling.temperature == 0.0f;
        CHECK((event.margin >= 0.0f) == greedy);
        outcome.tokens.push_back(event.token);
        outcome.margins.push_back(event.margin);
      }
      outcome.finish = event.finish;
    });
  }
  run.stats = generator.stats();
  return run;
}

std::vector<GenerationRequest> many_requests(std::size_t count) {
  const auto texts = prompts(5);
  Random random(2);
  std::vector<GenerationRequest> requests;
  for (std::size_t i = 0; i < count; ++i) {
    GenerationRequest request;
    request.prompt = texts[i / 12 % texts.size()];
    if (i % 7 == 3) {  // longer than a page
      for (std::int32_t t = 0; t < 45; ++t) request.prompt.push_back((t * 7) % 300);
    }
    const std::int32_t variant = static_cast<std::int32_t>(i / 3 % 3);
    for (std::int32_t head = 0; variant > 0 && head < 3; ++head) {
      request.heads.push_back({variant, head * 2, head == 1 ? 1.3f : 0.0f});
    }
    request.positions = static_cast<GatePositions>(i / 5 % 3);
    if (i % 4 != 0) request.sampling.temperature = 0.7f + 0.3f * static_cast<float>(i % 3);
    if (i % 4 == 2) request.sampling.top_p = 0.9f;
    if (i % 8 == 3) request.sampling.top_k = 20;
    if (i % 8 == 5) request.sampling.min_p = 0.05f;
    if (i % 5 == 4) request.sampling.repetition_penalty = 1.2f;
    request.seed = 1000 + i;
    request.max_new_tokens = 15 + static_cast<std::int32_t>(random.below(50));
    requests.push_back(std::move(request));
  }
  return requests;
}

std::int64_t budget_of(const Engine& engine, std::int64_t pages) {
  const ModelConfig& config = engine.config();
  const KvPageLayout layout{config.kv_heads, config.head_dim, kv_page_type(engine.context)};
  return 2 * pages * layout.floats() * 4;
}

namespace {

// table[layer, row of position p] for every position, [layers, positions, heads, head_dim].
std::vector<float> by_position(const ModelConfig& config, const PlainGates& gates,
                               std::int64_t positions) {
  const std::int64_t width = config.heads * config.head_dim;
  const std::int64_t rows = static_cast<std::int64_t>(gates.table.size()) / (config.layers * width);
  std::vector<float> values;
  for (std::int64_t layer = 0; layer < config.layers && rows > 0; ++layer) {
    for (std::int64_t position = 0; position < positions; ++position) {
      const std::int64_t row = layer * rows + replacement_row(gates.run, position);
      const auto from = gates.table.begin() + row * width;
      values.insert(values.end(), from, from + width);
    }
  }
  return values;
}

}  // namespace

Next plain_next(const Engine& engine, const std::vector<std::int32_t>& tokens,
                const PlainGates& gates) {
  const auto length = static_cast<std::int64_t>(tokens.size());
  const RotaryTables rotary = rotary_for(engine, length);
  BatchRows rows;
  rows.add(tokens);
  const Batch batch(engine.context, std::move(rows));
  Trace trace(engine, batch.tokens(), {});
  const RowGates row_gates(engine, std::vector<std::vector<GatedHead>>{gates.heads});
  std::vector<HeadGate> list = row_gates.zero_ablation();
  const ModelConfig& config = engine.config();
  const auto& backend = engine.context.backend;
  const Buffer<std::int32_t> begin(backend, std::span(&gates.begin, 1));
  const Buffer<std::int32_t> end(backend, std::span(&gates.end, 1));
  const std::vector<float> values = by_position(config, gates, length);
  const Buffer<float> replacement(backend, std::span(values));
  for (std::size_t layer = 0; layer < list.size(); ++layer) {
    list[layer].gate_begin = begin.data();
    list[layer].gate_end = end.data();
    if (values.empty()) continue;
    list[layer].kind = Replacement::position;
    list[layer].replacement = replacement.data() + static_cast<std::int64_t>(layer) * length *
                                                       config.heads * config.head_dim;
  }
  run_forward(engine, batch, {.gates = list, .rotary = &rotary}, trace, {});
  Buffer<float> device_logits(backend, config.vocab);
  const std::int32_t last[] = {static_cast<std::int32_t>(length) - 1};
  run_logits(engine, trace.final_residual(), last, device_logits.data());
  std::vector<float> logits = device_logits.to_host();
  const auto best = std::max_element(logits.begin(), logits.end());
  const auto token = static_cast<std::int32_t>(best - logits.begin());
  std::partial_sort(logits.begin(), logits.begin() + 2, logits.end(), std::greater<>());
  return {token, logits[0] - logits[1]};
}

}  // namespace headspark::test
