// The forward pass of a circuit: every destination has its own input, the reference's stream plus
// the circuit's differences along the edges that are in.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/pair_block.h"
#include "headspark/circuit_eval.h"
#include "headspark/ops/attention.h"

namespace headspark {

/// What the edges outside the circuit carry, [sources, tokens * hidden] of a block; empty: zero.
Buffer<float> reference_writes(const Engine& engine, const Graph& graph, PairBlock& block,
                               ExcludedEdges excluded, const std::vector<float>& mean_writes);

/// Mean writes [sources, hidden] over all clean tokens of all pairs.
std::vector<float> mean_writes(const Engine& engine, const Graph& graph,
                               std::span<const Pair> pairs, const RunControl& control);

class CircuitForward {
 public:
  /// The block must have been made without prefix sharing unless the reference is the corrupted
  /// run (before the first difference both runs are the same, so patching changes nothing there).
  CircuitForward(const Engine& engine, const Graph& graph, PairBlock& block,
                 Buffer<float> reference);

  /// Metric of each pair of the block; mask: [sources, destinations] of 0 and 1, host.
  std::vector<float> run(std::span<const std::uint8_t> mask, const RunControl& control);

  static std::int64_t floats_per_token(const ModelConfig& config, const Graph& graph);

 private:
  struct Projection;
  void build_base();
  void add_broadcast(const std::vector<float>& row, float* y);
  float* difference(std::int64_t source) { return differences_.data() + source * stride_; }
  void subtract_reference(std::int64_t first, std::int64_t count);
  void sum_edges(std::int64_t first_column, std::int64_t columns, std::int64_t sources,
                 const float* base);
  void project(const Projection& projection);
  void attention(std::int64_t layer);
  void add_prefix(std::int64_t layer, AttentionForward& params);
  void mlp(std::int64_t layer);
  bool used(std::span<const std::uint8_t> mask, std::int64_t first, std::int64_t count) const;
  std::vector<float> metric();

  const Engine& engine_;
  const Graph& graph_;
  PairBlock& block_;
  Batch batch_;
  SupervisedRows supervised_;
  std::int64_t stride_;              ///< tokens * hidden
  Buffer<float> reference_;          ///< [sources, stride] or empty
  std::vector<Buffer<float>> base_;  ///< 2 * layers + 1: attention and MLP of each layer, logits
  Buffer<float> differences_;        ///< [sources, stride]
  Buffer<float> streams_;            ///< [columns of a layer, stride]
  Buffer<float> normed_;
  Buffer<float> q_, k_, v_, z_, head_raw_;
  Buffer<float> gate_, up_;
  Buffer<float> prefix_k_, prefix_v_;  ///< one layer's, per query head
  Buffer<std::uint8_t> mask_;
};

}  // namespace headspark
