// Turns gradients at destinations into edge scores: the copies (steps) of each pair are summed
// first, because delta does not depend on the step, then contracted with the source differences.
// Gradients wait until those of several layers are there, so that the differences, which are far
// larger than caches, are read once for all of them.
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

  DType head_inputs_type() const override { return type_; }

  /// fp32 values per own token of a pair: gradients that are kept at a time.
  static std::int64_t floats_per_token(const Engine& engine, const Graph& graph);

  /// While the embedding is held constant with its gradient stopped, destinations that read nothing
  /// but the embedding have no gradient to show (as in the reference, where autograd never reaches
  /// them). Learned positions (GPT-2) add something that is not stopped.
  void stop_input_gradient(bool stopped) { input_stopped_ = stopped; }

 private:
  /// Sources that a destination has scores with.
  std::int64_t sources_of(std::int64_t column) const;
  /// Where the gradient of a destination of the group goes, of contracted_type.
  float* gradient(std::int64_t column);
  /// `d_input` null: there is none.
  void sum_copies(const float* d_input, std::int64_t column);
  void begin_group(std::int64_t end_column);
  void contract_group();

  const Engine& engine_;
  const Graph& graph_;
  const PairBlock& block_;
  BlockScores& scores_;
  std::int64_t copies_;
  DType type_;  ///< contracted_type
  bool input_stopped_ = false;
  std::int64_t group_layer_ = 0;  ///< the lowest layer of the group at work
  std::int64_t group_end_ = 0;    ///< end of the group's columns
  bool mlp_shown_ = false;        ///< of the layer at work
  Buffer<float> gradients_;  ///< [columns of a group, block tokens, hidden], summed over copies
};

}  // namespace headspark
