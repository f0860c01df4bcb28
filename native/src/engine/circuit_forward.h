// The forward pass of a circuit: every destination has its own input, the reference's stream plus
// the circuit's differences along the edges that are in.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/circuit_nodes.h"
#include "engine/reference_run.h"
#include "headspark/circuit_eval.h"
#include "headspark/ops/attention.h"
#include "headspark/ops/edge_sum.h"
#include "headspark/ops/linear.h"

namespace headspark {

class CircuitForward {
 public:
  /// The block must have been made without prefix sharing unless the reference is the corrupted
  /// run (before the first difference both runs are the same, so patching changes nothing there).
  CircuitForward(const Engine& engine, const Graph& graph, PairBlock& block,
                 ReferenceRun reference);

  /// Metric of each pair of the block; mask: [sources, destinations] of 0 and 1, host. Layers below
  /// first_layer are left as the last runs wrote them, whose edges into them were the same.
  std::vector<float> run(std::span<const std::uint8_t> mask, const RunControl& control,
                         std::int64_t first_layer = 0);

  static std::int64_t floats_per_token(const Engine& engine, const Graph& graph);

 private:
  struct Projection;
  void build_base();
  float* difference(std::int64_t source) { return differences_.data() + source * stride_; }
  void subtract(const float* reference, std::int64_t width, float* y);
  void add(const float* writes, float* stream);
  void add_reference_heads(std::int64_t layer, float* stream);
  void scale_writes(std::int64_t layer);
  void use_nodes(std::span<const std::uint8_t> mask);
  EdgeSum edges_into(std::int64_t first_column, std::int64_t end_column, std::int64_t first_source,
                     std::int64_t end_source);
  std::array<EdgeSum, 2> layer_edges(std::int64_t layer, std::int64_t first_source,
                                     std::int64_t end_source);
  float* streams(std::int64_t layer);
  float* mlp_stream(std::int64_t layer) {
    return streams(layer) + (graph_.layer_columns() - 1) * stride_;
  }
  void begin_group(std::int64_t first_layer);
  void add_group(std::int64_t layer);
  void project(std::int64_t layer, std::int64_t kv_count, std::int64_t share);
  void add_heads(const Projection& projection, std::int64_t& slot,
                 std::vector<LinearForward>& heads);
  void finish_heads(const Projection& projection);
  HeadGate read_heads(std::int64_t layer) const;
  void attention(std::int64_t layer);
  void add_prefix(std::int64_t layer, AttentionForward& params);
  void mlp(std::int64_t layer);
  std::vector<float> metric();

  const Engine& engine_;
  const Graph& graph_;
  PairBlock& block_;
  Batch batch_;
  SupervisedRows supervised_;
  Buffer<std::int32_t> supervised_tokens_;
  std::int64_t stride_;  ///< tokens * hidden
  ReferenceRun reference_;
  std::vector<Buffer<float>> base_;  ///< 2 * layers + 1: attention and MLP of each layer, logits
  Buffer<float> differences_;        ///< [sources, stride]
  std::int64_t group_ = 0;           ///< the first layer of the group that runs
  /// [layers of a group, columns of a layer, stride]; of the heads, those that are read come first.
  Buffer<float> streams_;
  Buffer<float> normed_;
  Buffer<float> q_, k_, v_, z_;
  Buffer<float> gate_, up_;
  Buffer<float> prefix_k_, prefix_v_;  ///< one layer's, per query head
  std::optional<CircuitNodes> nodes_;  ///< of the circuit that runs
  Buffer<std::uint8_t> mask_;          ///< its mask of CircuitNodes
  Buffer<float> head_scales_;          ///< [layers, rows, heads]: 1 where a head is read, else 0
};

}  // namespace headspark
