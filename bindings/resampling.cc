// Synchronous, into the caller's arrays.
#include "resampling.h"

#include <algorithm>

#include "arguments.h"
#include "errors.h"
#include "headspark/context.h"
#include "headspark/device.h"
#include "headspark/error.h"
#include "headspark/resampled_heads.h"
#include "words.h"

namespace headspark::bindings {
namespace {

/// The pool lives for one call, so that no environment owns one: a thread has to pay for its start,
/// with at least half a millisecond of work.
int threads_for(std::int64_t products) {
  constexpr std::int64_t enough = std::int64_t{1} << 22;
  const std::int64_t wanted = std::max<std::int64_t>(1, products / enough);
  return static_cast<int>(std::min<std::int64_t>(wanted, default_threads()));
}

/// The arrays of both functions; `function` names the one that is called.
WeightedMeans means_of(const Arguments& arguments, const std::string& function) {
  const std::span<const float> values = arguments.float32_view("values");
  const std::span<const std::uint32_t> weights = arguments.uint32_view("weights");
  const std::span<float> means = arguments.float32_view("means");
  const std::int64_t rows = arguments.integer("rows", 1, std::int64_t{1} << 31);
  const auto pairs = static_cast<std::int64_t>(weights.size()) / rows;
  const auto columns = static_cast<std::int64_t>(means.size()) / rows;
  const auto count = static_cast<std::int64_t>(values.size());
  // By division: a product of the two could be more than 64 bits hold.
  const bool fits = pairs > 0 && pairs * rows == static_cast<std::int64_t>(weights.size()) &&
                    columns * rows == static_cast<std::int64_t>(means.size()) &&
                    count % pairs == 0 && count / pairs == columns;
  if (!fits) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                function +
                    ": values must be [pairs, columns], weights [rows, pairs] and means "
                    "[rows, columns].");
  }
  return {values.data(), pairs, columns, weights.data(), rows, means.data()};
}

Context context_for(const WeightedMeans& means) {
  return make_cpu_context(threads_for(means.rows * means.pairs * means.columns), default_isa());
}

Napi::Value js_weighted_means(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const WeightedMeans means = means_of({call[0], "weightedMeans"}, "weightedMeans");
    weighted_means(context_for(means), means);
    return env.Undefined();
  });
}

Graph graph_of(const Arguments& arguments) {
  constexpr std::int64_t most = 1024;
  Graph graph;
  graph.layers = arguments.integer("layers", 1, most);
  graph.heads = arguments.integer("heads", 1, most);
  graph.kv_heads = arguments.integer("keyValueHeads", 1, most);
  graph.parallel_block = arguments.boolean("parallelBlock");
  graph.kv_edges = kv_edges_of(arguments.string("kvEdges"));
  return graph;
}

CircuitSelection selection_of(const Arguments& arguments) {
  CircuitSelection selection;
  selection.rule = selection_rule_of(arguments.string("rule"));
  selection.ranking = ranking_of(arguments.string("ranking"));
  if (arguments.has("n")) selection.n = arguments.integer("n", 0, std::int64_t{1} << 31);
  if (arguments.has("tau")) selection.tau = arguments.number("tau");
  selection.prune = arguments.boolean("prune");
  return selection;
}

Napi::Value js_resampled_heads(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const std::string function = "resampledHeads";
    const Arguments arguments(call[0], function);
    ResampledHeads work{.graph = graph_of(arguments),
                        .selection = selection_of(arguments),
                        .means = means_of(arguments, function)};
    const std::span<std::uint8_t> masks = arguments.uint8_view("masks");
    const std::span<double> importances = arguments.float64_view("importances");
    const auto heads =
        static_cast<std::size_t>(work.means.rows * work.graph.layers * work.graph.heads);
    if (work.graph.edges() != work.means.columns || masks.size() != heads ||
        importances.size() != heads) {
      throw Error(ErrorCode::INVALID_ARGUMENT,
                  function +
                      ": values must have a column for every edge of the graph, and masks and "
                      "importances be [rows, layers * heads].");
    }
    work.masks = masks.data();
    work.importances = importances.data();
    resampled_heads(context_for(work.means), work);
    return env.Undefined();
  });
}

}  // namespace

void register_resampling(Napi::Env env, Napi::Object exports) {
  exports.Set("weightedMeans", Napi::Function::New(env, js_weighted_means, "weightedMeans"));
  exports.Set("resampledHeads", Napi::Function::New(env, js_resampled_heads, "resampledHeads"));
}

}  // namespace headspark::bindings
