// Circuits are evaluated block of pairs by block of pairs: the clean and corrupted runs of a block
// serve all circuits.
#include "headspark/circuit_eval.h"

#include <string>

#include "engine/circuit_forward.h"
#include "engine/methods.h"
#include "headspark/error.h"

namespace headspark {
namespace {

ReferenceRun reference(const Engine& engine, PairBlock& block, ExcludedEdges excluded,
                       const MeanActivations& means) {
  switch (excluded) {
    case ExcludedEdges::patch:
      return {engine, block};
    case ExcludedEdges::mean:
      return {engine, means, block.tokens()};
    case ExcludedEdges::zero:
      break;
  }
  return {};
}

}  // namespace

CircuitEvalResult evaluate_circuits(const Engine& engine, std::span<const Pair> all,
                                    std::span<const std::uint8_t> circuits,
                                    const CircuitEvalOptions& options, const RunControl& control) {
  check_pairs(engine, all, options.metric);
  const std::span<const Pair> pairs = pairs_in(all, options.range);
  const Graph graph = make_graph(engine.config(), options.kv_edges);
  const auto dense = static_cast<std::size_t>(graph.sources() * graph.destinations());
  if (circuits.size() % dense != 0) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "Circuit masks need a multiple of " +
                                                 std::to_string(dense) +
                                                 " entries ([sources, destinations] each), not " +
                                                 std::to_string(circuits.size()) + ".");
  }
  const std::size_t count = circuits.size() / dense;
  const BufferReuse reuse(engine.context.backend);
  const RotaryTables rotary = rotary_for(engine, longest_pair(pairs));
  const bool share = options.excluded == ExcludedEdges::patch && engine.options.share_prefix;
  MeanActivations means;
  if (options.excluded == ExcludedEdges::mean) {
    means = mean_activations(engine, all, false, control);
  }
  CircuitEvalResult result;
  result.pairs = static_cast<std::int64_t>(pairs.size());
  result.values.resize(count * pairs.size());
  const auto ranges = plan_pairs(
      engine, pairs, options.metric,
      {.floats = CircuitForward::floats_per_token(engine, graph), .share_prefix = share});
  std::uint64_t done = 0;
  for (const auto& [begin, end] : ranges) {
    PairBlock block(engine, pairs.subspan(begin, end - begin), {options.metric, share}, rotary,
                    control);
    CircuitForward forward(engine, graph, block, reference(engine, block, options.excluded, means));
    for (std::size_t circuit = 0; circuit < count; ++circuit) {
      control.report({done, ranges.size() * count, "circuits"});
      const std::vector<float> values =
          forward.run(circuits.subspan(circuit * dense, dense), control);
      std::copy(
          values.begin(), values.end(),
          result.values.begin() + static_cast<std::ptrdiff_t>(circuit * pairs.size() + begin));
      ++done;
    }
    const auto& clean = block.clean_metric();
    const auto& corrupted = block.corrupted_metric();
    result.clean_metric.insert(result.clean_metric.end(), clean.begin(), clean.end());
    result.corrupted_metric.insert(result.corrupted_metric.end(), corrupted.begin(),
                                   corrupted.end());
  }
  control.report({done, done, "circuits"});
  return result;
}

}  // namespace headspark
