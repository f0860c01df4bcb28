// The last layer of a pass that reads few tokens: the bits of those tokens are the ones of the pass
// that computes every token, on every level, for any batch and any number of threads.
#include <doctest/doctest.h>

#include "engine/backward.h"
#include "engine/gates.h"
#include "engine/pair_block.h"
#include "headspark/sweep.h"
#include "op_suite.h"
#include "reference_models.h"

namespace headspark::golden {
namespace {

using test::check_same_bits;
using test::Random;

/// Levels that are worth a whole model: the specification is slow, and is where the bits matter
/// least.
std::vector<Isa> fast_levels() {
  std::vector<Isa> all = test::cpu_levels();
  all.erase(all.begin());
  return all;
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

std::vector<float> logits_of(const Engine& engine, const LogitsRequest& request) {
  const HostArray<float> logits = compute_logits(engine, request, {});
  return {logits.begin(), logits.end()};
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
    same("written", &LayerTrace::written, config.heads * config.head_dim);
    same("mlp_out", &LayerTrace::mlp_out, config.hidden);
  }
}

/// Keeps all that a backward pass shows, on the host.
class Recorder final : public GradientSink {
 public:
  Recorder(const Engine& engine, std::int64_t tokens)
      : engine_(engine),
        tokens_(tokens),
        heads_(engine.context.backend,
               3 * engine.config().heads * tokens * engine.config().hidden) {}

  void logits_input(const float* d_input) override { keep(d_input, 1); }
  void mlp_input(std::int64_t, const float* d_input) override { keep(d_input, 1); }
  std::int64_t copies() const override { return 1; }
  float* head_inputs(std::int64_t, HeadInput which) override {
    return heads_.data() + static_cast<std::int64_t>(which) * heads_.size() / 3;
  }
  void attention_done(std::int64_t) override { keep(heads_.data(), 3 * engine_.config().heads); }
  bool grouped_kv() const override { return false; }

  std::vector<std::vector<float>> shown;

 private:
  void keep(const float* x, std::int64_t blocks) {
    shown.push_back(host(engine_, x, blocks * tokens_ * engine_.config().hidden));
  }

  const Engine& engine_;
  std::int64_t tokens_;
  Buffer<float> heads_;
};

/// Forward and backward of the sum of the wanted tokens' weighted final residuals: all that the
/// sink sees, and last the gradient at the embedding.
std::vector<std::vector<float>> gradients(const Engine& engine, const SomeRows& some,
                                          ForwardInputs inputs, bool packed) {
  const Batch batch(engine.context, some.rows);
  const std::int64_t hidden = engine.config().hidden;
  const WantedTokens wanted(engine.context, batch.host(), some.counts);
  if (packed) inputs.wanted = &wanted;
  const bool gated = !inputs.gates.empty();
  Trace trace(engine, batch.tokens(), {.gradients = true, .gated = gated});
  run_forward(engine, batch, inputs, trace, {});
  BackwardWorkspace work(engine, batch.tokens());
  const std::vector<float> weights = Random(21).values(wanted.count() * hidden);
  engine.context.backend->copy_to_device(work.d_residual.data(), weights.data(),
                                         wanted.count() * hidden * 4);
  if (!packed) wanted.spread(engine.context, hidden, work.d_residual.data());
  Recorder recorder(engine, batch.tokens());
  run_backward(engine, batch, inputs, trace, work, recorder, {});
  recorder.shown.push_back(host(engine, work.d_residual.data(), batch.tokens() * hidden));
  return std::move(recorder.shown);
}

void check_gradients(const Engine& engine, const SomeRows& some, const ForwardInputs& inputs,
                     const std::string& where) {
  const auto expected = gradients(engine, some, inputs, false);
  const auto found = gradients(engine, some, inputs, true);
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    check_same_bits(where + ", gradient " + std::to_string(i), found[i], expected[i]);
  }
}

std::vector<float> some_written(const Engine& engine, const SomeRows& some) {
  const ModelConfig& config = engine.config();
  return Random(10).values(some.rows.token_count() * config.heads * config.head_dim);
}

/// Keys and values that `length` tokens left in every layer.
KvStore some_prefix(const Engine& engine, std::int64_t length) {
  const ModelConfig& config = engine.config();
  KvStore prefix;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    Random random(static_cast<std::uint64_t>(layer) + 3);
    for (std::vector<Buffer<float>>* store : {&prefix.k, &prefix.v}) {
      const std::vector<float> values = random.values(length * config.kv_heads * config.head_dim);
      store->emplace_back(engine.context.backend, std::span<const float>(values));
    }
  }
  return prefix;
}

}  // namespace

TEST_CASE("last layer: gradients of the wanted tokens have the bits of the whole backward") {
  for (const char* model : kModels) {
    for (const Isa isa : fast_levels()) {
      const Engine engine = engine_for(model, isa, 2);
      const std::string where = std::string(model) + " on " + isa_name(isa);
      const auto last = static_cast<std::int32_t>(engine.config().layers - 1);
      const RotaryTables rotary = rotary_for(engine, 64);
      const SomeRows alone(static_cast<std::int32_t>(engine.config().vocab), 0);
      check_gradients(engine, alone, {.rotary = &rotary}, where);
      const std::vector<float> values =
          Random(9).values(alone.rows.token_count() * engine.config().hidden);
      const Buffer<float> output(engine.context.backend, std::span<const float>(values));
      check_gradients(engine, alone,
                      {.mlp_layer = last, .mlp_output = output.data(), .rotary = &rotary},
                      where + ", MLP replaced");
      const std::vector<float> wrote = some_written(engine, alone);
      const Buffer<float> written(engine.context.backend, std::span<const float>(wrote));
      check_gradients(engine, alone,
                      {.attention_layer = last, .written = written.data(), .rotary = &rotary},
                      where + ", heads replaced");
      const SomeRows continued(static_cast<std::int32_t>(engine.config().vocab), 11);
      const KvStore prefix = some_prefix(engine, 11);
      const std::vector<std::vector<GatedHead>> heads(5, {{0, 1, 0.5f}, {last, 2, 1.3f}});
      const RowGates gates(engine, heads);
      check_gradients(engine, continued,
                      {.gates = gates.zero_ablation(), .prefix = &prefix, .rotary = &rotary},
                      where + ", gated after a prefix");
    }
  }
}

TEST_CASE("last layer: the wanted tokens of a pass have the bits of the whole pass") {
  for (const char* model : kModels) {
    for (const Isa isa : fast_levels()) {
      const Engine engine = engine_for(model, isa, 2);
      const std::string where = std::string(model) + " on " + isa_name(isa);
      const std::int64_t layers = engine.config().layers;
      const SomeRows some(static_cast<std::int32_t>(engine.config().vocab), 0);
      const RotaryTables rotary = rotary_for(engine, 64);
      check_pass(engine, some, {.rotary = &rotary}, where);

      std::vector<std::vector<GatedHead>> heads(5);
      heads[0] = {{0, 1, 0.5f}, {static_cast<std::int32_t>(layers - 1), 0, 0.0f}};
      heads[4] = {{static_cast<std::int32_t>(layers - 1), 2, 1.3f}};
      const RowGates gates(engine, heads);
      check_pass(engine, some, {.gates = gates.zero_ablation(), .rotary = &rotary},
                 where + ", gated");

      const std::vector<float> values =
          Random(9).values(some.rows.token_count() * engine.config().hidden);
      const Buffer<float> output(engine.context.backend, std::span<const float>(values));
      check_pass(engine, some,
                 {.mlp_layer = layers - 1, .mlp_output = output.data(), .rotary = &rotary},
                 where + ", MLP replaced");
      const std::vector<float> wrote = some_written(engine, some);
      const Buffer<float> written(engine.context.backend, std::span<const float>(wrote));
      check_pass(engine, some,
                 {.attention_layer = layers - 1, .written = written.data(), .rotary = &rotary},
                 where + ", heads replaced");
    }
  }
}

TEST_CASE("last layer: wanted tokens after a stored prefix") {
  for (const char* model : kModels) {
    for (const Isa isa : fast_levels()) {
      const Engine engine = engine_for(model, isa, 2);
      const SomeRows some(static_cast<std::int32_t>(engine.config().vocab), 11);
      const RotaryTables rotary = rotary_for(engine, 64);
      const KvStore prefix = some_prefix(engine, 11);
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
      request.heads.assign(request.prompts.size(), {{1, 2, 0.0f}});
      const std::vector<float> last = logits_of(engine, request);
      request.all_positions = true;
      const std::vector<float> all = logits_of(engine, request);
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
                                                 {{{2, 2, 0.0f}}},
                                                 {{{1, 0, 1.3f}, {2, 1, 0.0f}}}};
  const std::vector<Pair> pairs = some_pairs(4);
  for (const char* model : kModels) {
    for (const Isa isa : fast_levels()) {
      const std::string where = std::string(model) + " on " + isa_name(isa);
      const Engine engine = engine_for(model, isa, 1);
      std::vector<float> expected;
      for (const AblationVariant& variant : variants) {
        for (const Pair& pair : pairs) {
          const auto logits = compute_logits(engine, {{pair.clean}, {variant.heads}, true}, {});
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
