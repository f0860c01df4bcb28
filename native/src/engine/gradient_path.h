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
  /// Ends of the block that are points of this path: its pass over the input gives them.
  std::vector<End> ends = {};
};

/// Buffers of every pass of a job, sized once for its largest block.
struct PathWorkspace {
  /// max_tokens: own tokens of the largest block times its points per pass.
  PathWorkspace(const Engine& engine, std::int64_t max_tokens, const PathPoints& points);

  Trace trace;
  BackwardWorkspace backward;
  Buffer<float> clean;  ///< [max_tokens, widest interpolated activation]
  Buffer<float> corrupted;
  Buffer<float> path;
};

class GradientPath {
 public:
  /// What a pass works on; `scores` is added to, and shared by the passes over one block.
  struct Operands {
    const Engine& engine;
    const Graph& graph;
    PairBlock& block;
    BlockScores& scores;
    PathWorkspace& workspace;
  };

  GradientPath(const Operands& operands, const PathPoints& points);

  /// Adds the scores of one group of interpolated sources. The output of an interpolated group of
  /// heads or MLP has no gradient (method, section 3: its gradient is stopped).
  void run(const PathGroup& group, const RunControl& control);

  /// fp32 values of workspace per own token of a pair.
  static std::int64_t floats_per_token(const Engine& engine, const Graph& graph,
                                       const PathPoints& points, HeadWrites writes);

 private:
  /// y [batch tokens, width] = the path between the ends' activations, both [tokens, width].
  void interpolate_ends(const float* ends, std::int64_t width, float* y);
  /// The copy that is one end of the path.
  std::int64_t copy_of(End end) const;

  const Engine& engine_;
  PairBlock& block_;
  PathPoints points_;
  Batch batch_;
  SupervisedRows supervised_;  ///< packed
  WantedTokens wanted_;
  EdgeScoreSink sink_;
  PathWorkspace& workspace_;
  Buffer<std::int32_t> end_index_;  ///< [batch tokens] own token of the block
  Buffer<float> alpha_;             ///< [batch tokens]
};

}  // namespace headspark
