// The last layer of a pass that reads few tokens: the bits of those tokens are the ones of the pass
// that computes every token, on every level, for any batch and any number of threads.
#include <doctest/doctest.h>

#include "engine/forward.h"
#include "engine/gates.h"
#include "engine/pair_block.h"
#include "golden.h"
#include "headspark/sweep.h"
#include "op_suite.h"

namespace headspark::golden {
namespace {

using test::check_same_bits;
using test::cpu_levels;
using test::Random;

const char* const kModels[] = {"qwen2", "neox"};

Engine engine_for(const char* model, Isa isa, int threads, std::int64_t batch_tokens = 0) {
  EngineOptions options{.threads = threads, .batch_tokens = batch_tokens};
  Engine engine =
      make_engine(load_model(source_folder() / "test/fixtures/reference" / model, {}, {}), options);
  engine.context = make_cpu_context(threads, isa, options.precision);
  return engine;
}

/// Levels that are worth a whole model: the specification is slow, and is where the bits matter
/// least.
std::vector<Isa> fast_levels() {
  std::vector<Isa> all = cpu_levels();
  all.erase(all.begin());
  return all;
}

std::vector<Pair> some_pairs(std::size_t count) {
  std::vector<Pair> pairs = read_pairs(source_folder() / "test/fixtures/reference/pairs.jsonl");
  pairs.resize(std::min(count, pairs.size()));
  return pairs;
}

/// Rows of different lengths of which some tokens at the end are wanted: none, one, several, all.
struct SomeRows {
  BatchRows rows;
  std::vector<std::int32_t> counts;

  SomeRows(std::int32_t vocab, std::int32_t prefix) {
    Random random(5);
    const std::int32_t lengths[] = {7, 3, 12, 1, 9};
    counts = {1, 3, 0, 1, 4};
    for (const std::int32_t length : lengths) {
      std::vector<std::int32_t> tokens;
      for (std::int32_t t = 0; t < length; ++t) {
        tokens.push_back(static_cast<std::int32_t>(random.below(vocab)));
      }
      rows.add(tokens, 0, prefix);
    }
  }
};

std::vector<float> host(const Engine& engine, const float* x, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  engine.context.backend->copy_to_host(values.data(), x, count * 4);
  return values;
}

/// The wanted rows of x [tokens, width], and 0 for the others where `spread`.
std::vector<float> wanted_rows(const SomeRows& some, const std::vector<float>& x, bool spread) {
  const std::size_t width = x.size() / static_cast<std::size_t>(some.rows.token_count());
  std::vector<float> values;
  for (std::int32_t row = 0; row < some.rows.rows(); ++row) {
    const auto index = static_cast<std::size_t>(row);
    for (std::int32_t t = some.rows.row_begin[index]; t < some.rows.row_begin[index + 1]; ++t) {
      const bool wanted = t >= some.rows.row_begin[index + 1] - some.counts[index];
      const auto from = x.begin() + static_cast<std::ptrdiff_t>(width) * t;
      if (wanted) values.insert(values.end(), from, from + static_cast<std::ptrdiff_t>(width));
      if (!wanted && spread) values.insert(values.end(), width, 0.0f);
    }
  }
  return values;
}

/// A pass with and without `wanted`: the traces, whose final residuals are compared.
struct BothPasses {
  Trace full;
  Trace few;

  BothPasses(const Engine& engine, const SomeRows& some, ForwardInputs inputs,
             const TraceOptions& options)
      : full(engine, some.rows.token_count(), options),
        few(engine, some.rows.token_count(), options) {
    const Batch batch(engine.context, some.rows);
    run_forward(engine, batch, inputs, full, {});
    const WantedTokens wanted(engine.context, batch.host(), some.counts);
    inputs.wanted = &wanted;
    run_forward(engine, batch, inputs, few, {});
    const std::int64_t hidden = engine.config().hidden;
    CHECK(wanted.count() == 9);
    check_same_bits(
        "final residual", host(engine, few.final_residual(), wanted.count() * hidden),
        wanted_rows(some, host(engine, full.final_residual(), batch.tokens() * hidden), false));
  }
};

/// Whatever is kept, the bits of what the last layer leaves are the same.
void check_pass(const Engine& engine, const SomeRows& some, const ForwardInputs& inputs,
                const std::string& where) {
  CAPTURE(where);
  const ModelConfig& config = engine.config();
  BothPasses(engine, some, inputs, {});
  BothPasses(engine, some, inputs, {.residuals = true});
  BothPasses(engine, some, inputs, {.gradients = true});
  BothPasses passes(engine, some, inputs, {.sources = true});
  const std::int64_t tokens = some.rows.token_count();
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const auto same = [&](const char* name, float* LayerTrace::*member, std::int64_t width) {
      std::vector<float> all = host(engine, passes.full.layer(layer).*member, tokens * width);
      if (layer + 1 == config.layers) all = wanted_rows(some, all, true);
      check_same_bits(where + " " + name + std::to_string(layer),
                      host(engine, passes.few.layer(layer).*member, tokens * width), all);
    };
    same("z", &LayerTrace::z, config.heads * config.head_dim);
    same("mlp_out", &LayerTrace::mlp_out, config.hidden);
  }
}

}  // namespace

TEST_CASE("last layer: the wanted tokens of a pass have the bits of the whole pass") {
  for (const char* model : kModels) {
    for (const Isa isa : fast_levels()) {
      const Engine engine = engine_for(model, isa, 2);
      const std::string where = std::string(model) + " on " + isa_name(isa);
      const std::int64_t layers = engine.config().layers;
      const SomeRows some(static_cast<std::int32_t>(engine.config().vocab), 0);
      const RotaryTable rotary = rotary_for(engine, 64);
      check_pass(engine, some, {.rotary = &rotary}, where);

      std::vector<std::vector<GatedHead>> heads(5);
      heads[0] = {{0, 1, 0.5f}, {static_cast<std::int32_t>(layers - 1), 0, 0.0f}};
      heads[4] = {{static_cast<std::int32_t>(layers - 1), 2, 1.3f}};
      const RowGates gates(engine, heads);
      check_pass(engine, some, {.gates = gates.zero_ablation(), .rotary = &rotary},
                 where + ", gated");

      const std::int64_t count = some.rows.token_count() * engine.config().hidden;
      const Buffer<float> output(engine.context.backend,
                                 std::span<const float>(Random(9).values(count)));
      check_pass(engine, some,
                 {.mlp_layer = layers - 1, .mlp_output = output.data(), .rotary = &rotary},
                 where + ", MLP replaced");
    }
  }
}

TEST_CASE("last layer: wanted tokens after a stored prefix") {
  for (const char* model : kModels) {
    for (const Isa isa : fast_levels()) {
      const Engine engine = engine_for(model, isa, 2);
      const ModelConfig& config = engine.config();
      const SomeRows some(static_cast<std::int32_t>(config.vocab), 11);
      const RotaryTable rotary = rotary_for(engine, 64);
      KvStore prefix;
      for (std::int64_t layer = 0; layer < config.layers; ++layer) {
        Random random(static_cast<std::uint64_t>(layer) + 3);
        const std::int64_t count = 11 * config.kv_heads * config.head_dim;
        for (std::vector<Buffer<float>>* store : {&prefix.k, &prefix.v}) {
          store->emplace_back(engine.context.backend, std::span<const float>(random.values(count)));
        }
      }
      check_pass(engine, some, {.prefix = &prefix, .rotary = &rotary},
                 std::string(model) + " with a prefix on " + isa_name(isa));
    }
  }
}

TEST_CASE("last layer: logits of the last token are those of all positions, bit for bit") {
  for (const char* model : kModels) {
    for (const Isa isa : fast_levels()) {
      const Engine engine = engine_for(model, isa, 2);
      LogitsRequest request;
      for (const Pair& pair : some_pairs(3)) request.prompts.push_back(pair.clean);
      request.heads = {{1, 2, 0.0f}};
      const std::vector<float> last = compute_logits(engine, request, {});
      request.all_positions = true;
      const std::vector<float> all = compute_logits(engine, request, {});
      std::vector<float> expected;
      std::ptrdiff_t end = 0;
      for (const auto& prompt : request.prompts) {
        end += static_cast<std::ptrdiff_t>(prompt.size()) * engine.config().vocab;
        expected.insert(expected.end(), all.begin() + end - engine.config().vocab,
                        all.begin() + end);
      }
      check_same_bits(std::string(model) + " on " + isa_name(isa), last, expected);
    }
  }
}

TEST_CASE("sweep: any batch size and thread count gives the bits of the plain forward pass") {
  const std::vector<AblationVariant> variants = {{{}},
                                                 {{{0, 1, 0.0f}}},
                                                 {{{2, 3, 0.5f}, {1, 0, 1.3f}}},
                                                 {{{1, 0, 1.3f}}},
                                                 {{{2, 5, 0.0f}}},
                                                 {{{1, 0, 1.3f}, {2, 1, 0.0f}}}};
  const std::vector<Pair> pairs = some_pairs(4);
  for (const char* model : kModels) {
    for (const Isa isa : fast_levels()) {
      const std::string where = std::string(model) + " on " + isa_name(isa);
      const Engine engine = engine_for(model, isa, 1);
      std::vector<float> expected;
      for (const AblationVariant& variant : variants) {
        for (const Pair& pair : pairs) {
          const auto logits = compute_logits(engine, {{pair.clean}, variant.heads, true}, {});
          const auto last = logits.end() - engine.config().vocab;
          expected.push_back(last[pair.correct[0]] - last[pair.incorrect[0]]);
        }
      }
      for (const int threads : {1, 3}) {
        for (const std::int64_t batch_tokens : {1, 150, 100000}) {
          const Engine other = engine_for(model, isa, threads, batch_tokens);
          const Sweep::Result result = Sweep(other, pairs, {}, {}).run(variants, {});
          check_same_bits(where + ", " + std::to_string(threads) + " threads, " +
                              std::to_string(batch_tokens) + " tokens",
                          result.values, expected);
        }
      }
    }
  }
}

}  // namespace headspark::golden
