// Loading, and the inputs of the model benchmarks.
#include "model/setup.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "headspark/error.h"
#include "model/pairs_file.h"

namespace headspark::bench {

Budget Setup::budget() const {
  const double otherwise = options.quick ? 0 : 2000;
  return {options.milliseconds > 0 ? options.milliseconds : otherwise, options.rounds > 0
                                                                           ? options.rounds
                                                                       : options.quick ? 1
                                                                                       : 3};
}

namespace {

// Enough for the specification, which runs on few tokens, beside a GPU.
constexpr std::int64_t kReferenceMemory = std::int64_t{1} << 30;

void set_engines(Setup& setup, Engine engine) {
  setup.specification = engine;
  setup.specification.context =
      make_cpu_context(engine.context.threads->threads(), Isa::specification);
  if (!engine.context.on_cpu()) setup.specification.options = {.memory_bytes = kReferenceMemory};
  setup.engine = std::move(engine);
}

}  // namespace

Setup make_setup(const Options& options) {
  if (options.folders.size() != 1) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "Name one checkpoint folder.");
  }
  Setup setup;
  setup.options = options;
  set_engines(setup,
              make_engine(load_model(options.folders.front(), {}, {}), engine_options(options)));
  if (options.pairs.empty()) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "--pairs is missing; scripts/bench/pairs.mjs writes such a file.");
  }
  setup.pairs = read_pairs(options.pairs);
  if (!options.paper_pairs.empty()) setup.paper_pairs = read_pairs(options.paper_pairs);
  if (options.quick) {
    setup.pairs.resize(std::min<std::size_t>(4, setup.pairs.size()));
    setup.paper_pairs.resize(std::min<std::size_t>(2, setup.paper_pairs.size()));
  }
  return setup;
}

Setup adapted(const Setup& base) {
  Setup setup = base;
  set_engines(setup, make_engine(with_adapter(base.engine.model, base.options.adapter, {}),
                                 base.engine.options));
  return setup;
}

std::vector<Pair> small_pairs(const Setup& setup, std::size_t tokens) {
  Pair pair = setup.pairs.front();
  const std::size_t drop = pair.clean.size() - std::min(tokens, pair.clean.size());
  pair.clean.erase(pair.clean.begin(), pair.clean.begin() + static_cast<std::ptrdiff_t>(drop));
  pair.corrupted.erase(pair.corrupted.begin(),
                       pair.corrupted.begin() + static_cast<std::ptrdiff_t>(drop));
  // Pairs that differ early only would have become equal, and all scores zero.
  if (pair.clean == pair.corrupted) pair.corrupted.front() = (pair.clean.front() + 1) % 2;
  return {pair};
}

std::vector<std::int32_t> long_prompt(const Setup& setup, std::size_t count) {
  std::vector<std::int32_t> tokens;
  for (std::size_t i = 0; tokens.size() < count; ++i) {
    const std::vector<std::int32_t>& prompt = setup.pairs[i % setup.pairs.size()].clean;
    tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  }
  tokens.resize(count);
  return tokens;
}

std::vector<AblationVariant> single_heads(const ModelConfig& config, std::size_t most) {
  std::vector<AblationVariant> variants;
  for (std::int32_t layer = 0; layer < config.layers; ++layer) {
    for (std::int32_t head = 0; head < config.heads; ++head) {
      if (most != 0 && variants.size() == most) return variants;
      variants.push_back({{{layer, head, 0.0f}}});
    }
  }
  return variants;
}

std::vector<std::uint8_t> circuits_of_sizes(const Setup& setup,
                                            const std::vector<std::int64_t>& sizes) {
  AttributionOptions options;
  options.method = AttributionMethod::eap;
  options.keep_pair_scores = false;
  const AttributionResult result = attribute(setup.engine, small_pairs(setup, 16), options, {});
  std::vector<std::size_t> edges;
  for (std::int64_t column = 0; column < result.graph.destinations(); ++column) {
    for (std::int64_t source = 0; source < result.graph.sources_of_column(column); ++source) {
      edges.push_back(static_cast<std::size_t>(source * result.graph.destinations() + column));
    }
  }
  std::sort(edges.begin(), edges.end(), [&](std::size_t a, std::size_t b) {
    const float left = std::fabs(result.scores[a]);
    const float right = std::fabs(result.scores[b]);
    return left != right ? left > right : a < b;
  });
  const std::size_t cells = result.scores.size();
  std::vector<std::uint8_t> masks(sizes.size() * cells, 0);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::size_t size = std::min(static_cast<std::size_t>(sizes[i]), edges.size());
    for (std::size_t k = 0; k < size; ++k) masks[i * cells + edges[k]] = 1;
  }
  return masks;
}

}  // namespace headspark::bench
