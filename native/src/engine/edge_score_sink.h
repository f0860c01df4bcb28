// Turns gradients at destinations into edge scores: the copies (steps) of each pair are summed
// first, because delta does not depend on the step, then contracted with the source differences.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/backward.h"
#include "engine/source_differences.h"
#include "headspark/graph.h"

namespace headspark {

/// What the passes of one block of pairs share: source differences in, edge scores out.
class BlockScores {
 public:
  BlockScores(const Engine& engine, const Graph& graph, PairBlock& block, HeadWrites writes);

  /// Adds to the scores. The first call takes the differences: both ends are there by then.
  void contract(const ContractedColumns& columns);
  /// [pairs, sources, destinations]
  const Buffer<float>& scores() const { return scores_; }

 private:
  const Engine& engine_;
  const Graph& graph_;
  PairBlock& block_;
  HeadWrites writes_;
  std::optional<SourceDifferences> differences_;
  Buffer<float> scores_;
};

class EdgeScoreSink final : public GradientSink {
 public:
  EdgeScoreSink(const Engine& engine, const Graph& graph, const PairBlock& block,
                BlockScores& scores, std::int64_t copies);

  void logits_input(const float* d_input) override;
  void mlp_input(std::int64_t layer, const float* d_input) override;
  std::int64_t copies() const override { return copies_; }
  float* head_inputs(std::int64_t layer, HeadInput which) override;
  void attention_done(std::int64_t layer) override;
  bool grouped_kv() const override { return graph_.kv_edges == KvEdges::grouped; }

  /// While the embedding is held constant with its gradient stopped, destinations that read nothing
  /// but the embedding have no gradient to show (as in the reference, where autograd never reaches
  /// them). Learned positions (GPT-2) add something that is not stopped.
  void stop_input_gradient(bool stopped) { input_stopped_ = stopped; }

 private:
  bool reads_only_stopped_input(std::int64_t sources) const {
    return input_stopped_ && sources == 1 && !engine_.config().learned_positions;
  }
  float* column(std::int64_t index);
  void sum_copies(const float* d_input, float* to);

  const Engine& engine_;
  const Graph& graph_;
  const PairBlock& block_;
  BlockScores& scores_;
  std::int64_t copies_;
  bool input_stopped_ = false;
  bool mlp_waits_ = false;   ///< the last column is this layer's MLP input, not yet contracted
  Buffer<float> gradients_;  ///< [columns of a layer, block tokens, hidden], summed over copies
};

}  // namespace headspark
