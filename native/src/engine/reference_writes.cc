// What edges outside a circuit carry: the corrupted run's writes, nothing, or mean writes.
#include <algorithm>

#include "engine/circuit_forward.h"
#include "engine/mean_activations.h"
#include "headspark/ops/rows.h"

namespace headspark {

std::vector<float> mean_writes(const Engine& engine, const Graph& graph,
                               std::span<const Pair> pairs, const RunControl& control) {
  const ModelConfig& config = engine.config();
  const MeanActivations means = mean_activations(engine, pairs, false, control);
  std::vector<float> writes(static_cast<std::size_t>(graph.sources() * config.hidden));
  const auto at = [&](std::int64_t source) { return writes.begin() + source * config.hidden; };
  std::copy(means.embedding.begin(), means.embedding.end(), at(0));
  for (std::int64_t layer = 0; layer < graph.layers; ++layer) {
    const auto index = static_cast<std::size_t>(layer);
    const Buffer<float> z(engine.context.backend, std::span<const float>(means.z[index]));
    Buffer<float> heads(engine.context.backend, graph.heads * config.hidden);
    expand_head_writes(engine, layer, 1, z.data(), heads.data(), config.hidden);
    const std::vector<float> host = heads.to_host();
    std::copy(host.begin(), host.end(), at(graph.head_source(layer, 0)));
    std::copy(means.mlp[index].begin(), means.mlp[index].end(), at(graph.mlp_source(layer)));
  }
  return writes;
}

Buffer<float> reference_writes(const Engine& engine, const Graph& graph, PairBlock& block,
                               ExcludedEdges excluded, const std::vector<float>& mean) {
  if (excluded == ExcludedEdges::zero) return {};
  if (excluded == ExcludedEdges::patch) return source_writes(engine, graph, block, 1);
  const std::int64_t hidden = engine.config().hidden;
  const Buffer<float> rows(engine.context.backend, std::span<const float>(mean));
  Buffer<float> writes(engine.context.backend, graph.sources() * block.tokens() * hidden);
  std::vector<std::int32_t> index;
  for (std::int64_t source = 0; source < graph.sources(); ++source) {
    index.insert(index.end(), static_cast<std::size_t>(block.tokens()),
                 static_cast<std::int32_t>(source));
  }
  const Buffer<std::int32_t> device(engine.context.backend, std::span<const std::int32_t>(index));
  gather_rows(engine.context, static_cast<std::int64_t>(index.size()), hidden, device.data(),
              rows.data(), writes.data());
  return writes;
}

}  // namespace headspark
