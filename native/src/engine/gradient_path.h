// Forward and backward along the path between a block's corrupted and clean runs, with one group
// of sources interpolated.
#pragma once

#include <cstdint>
#include <span>

#include "engine/edge_score_sink.h"

namespace headspark {

enum class SourceGroup { input, heads, mlp };

struct PathGroup {
  SourceGroup group = SourceGroup::input;
  std::int64_t layer = 0;  ///< for heads and mlp
};

/// Points of the path (1 = clean), the weight of each point's gradient, and whether sources inside
/// the model are interpolated (else only the input).
struct PathPoints {
  std::vector<float> alphas;
  float weight = 1.0f;
  bool activations = false;
};

class GradientPath {
 public:
  /// Adds to `scores`, which several paths over the same block may share.
  GradientPath(const Engine& engine, const Graph& graph, PairBlock& block, BlockScores& scores,
               const PathPoints& points);

  /// Adds the scores of one group of interpolated sources. The output of an interpolated group of
  /// heads or MLP has no gradient (method, section 3: its gradient is stopped).
  void run(const PathGroup& group, const RunControl& control);

  /// fp32 values of workspace per own token of a pair.
  static std::int64_t floats_per_token(const Engine& engine, const Graph& graph,
                                       std::int64_t copies, bool activations);

 private:
  /// y [batch tokens, width] = the path between the ends' activations, both [tokens, width].
  void interpolate_ends(const float* ends, std::int64_t width, float* y);

  const Engine& engine_;
  PairBlock& block_;
  PathPoints points_;
  Batch batch_;
  SupervisedRows supervised_;
  EdgeScoreSink sink_;
  Trace trace_;
  BackwardWorkspace workspace_;
  Buffer<std::int32_t> end_index_;  ///< [batch tokens] own token of the block
  Buffer<float> alpha_;             ///< [batch tokens]
  Buffer<float> clean_;             ///< [batch tokens, widest]
  Buffer<float> corrupted_;
  Buffer<float> path_;
  Buffer<float> no_heads_;  ///< [rows, heads] of zeros: gates that replace every head
};

}  // namespace headspark
