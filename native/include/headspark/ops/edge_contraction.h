// The heart of edge attribution: score[u, v] += <delta[u], gradient[v]> over tokens and width, and
// the L1 proximity of information-flow routes on the same operands.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "headspark/context.h"
#include "headspark/dtype.h"

namespace headspark {

struct EdgeContraction {
  std::int64_t sources = 0;
  std::int64_t destinations = 0;
  std::int64_t length = 0;       ///< tokens * width, the contracted axis
  const float* delta = nullptr;  ///< [sources, length], stride delta_stride
  std::int64_t delta_stride = 0;
  const float* gradient = nullptr;  ///< [destinations, length], stride gradient_stride
  std::int64_t gradient_stride = 0;
  float* scores = nullptr;  ///< [sources, destinations], stride scores_stride; added to
  std::int64_t scores_stride = 0;
  /// Ascending: destination v has scores with the first ends[v] sources only, as layers have with
  /// those below them. Null: with all.
  const std::int64_t* ends = nullptr;
  /// Of delta and gradient: f32, or on a GPU bf16 in the room of floats, whose rows are aligned to
  /// 16 bytes then. Strides are in elements.
  DType type = DType::f32;

  /// The first destination that has a score with source u.
  std::int64_t first_destination(std::int64_t u) const {
    return ends == nullptr ? 0 : std::upper_bound(ends, ends + destinations, u) - ends;
  }
};

/// What contractions of rows of `width` had best read: bf16 in `fast` on a GPU, which rounds them
/// anyway, where such rows are aligned.
DType contracted_type(const Context& context, std::int64_t width);

/// fp32 products summed in blocks of fixed size, so that a score depends on its own operands alone.
/// Several contractions share no score and run side by side.
void edge_contraction(const Context& context, std::span<const EdgeContraction> contractions);
inline void edge_contraction(const Context& context, const EdgeContraction& params) {
  edge_contraction(context, std::span(&params, 1));
}

/// Information-flow routes (arXiv 2403.00824): per token t and source u,
/// proximity = max(0, |input[t]|_1 - |input[t] - write[u, t]|_1), normalised over sources, and
/// summed over the tokens of each pair of prompts.
struct FlowProximity {
  std::int64_t sources = 0;
  std::int64_t tokens = 0;  ///< of all pairs
  std::int64_t width = 0;
  const float* input = nullptr;  ///< [tokens, width], what the destination reads
  const float* write = nullptr;  ///< [sources, tokens, width], stride write_stride per source
  std::int64_t write_stride = 0;
  float* scores = nullptr;  ///< [pairs, sources], added to
  std::int64_t pairs = 1;
  const std::int32_t* begin = nullptr;  ///< [pairs + 1] tokens; null: one pair has them all
};
void flow_proximity(const Context& context, const FlowProximity& params);

}  // namespace headspark
