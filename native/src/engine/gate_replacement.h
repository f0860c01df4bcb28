// The replacement r of gated heads in a generation: nothing, or rows of a stored table (means, or
// the activations of other runs), chosen by the position in the sequence.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/growing_buffer.h"
#include "headspark/generate.h"

namespace headspark {

/// The table row that position `position` of a request takes.
std::int64_t replacement_row(const ReplacementRun& run, std::int64_t position);

/// One past the last position from `position` on whose rows follow each other in the table.
std::int64_t replacement_end(const ReplacementRun& run, std::int64_t position);

class GateReplacement {
 public:
  /// `table` is empty or [layers, rows, heads, head_dim].
  GateReplacement(const Engine& engine, std::span<const float> table);

  /// Rows of the table; 0: r = 0 everywhere.
  std::int64_t rows() const { return rows_; }
  /// One past the last of the positions from `begin` to `end` that one pass of a request can take.
  std::int64_t pass_end(const ReplacementRun& run, std::int64_t begin, std::int64_t end) const;

  /// Sets kind and replacement of every layer's gate for a batch whose row i has its first own
  /// token at positions[i] of a request with runs[i]. Valid until the next call.
  struct BatchRuns {
    std::vector<ReplacementRun> runs;
    std::vector<std::int64_t> positions;
  };
  void apply(const BatchRuns& batch, std::vector<HeadGate>& gates);

 private:
  std::int64_t rows_;
  std::int64_t layer_floats_;  // of the table
  Buffer<float> table_;
  GrowingBuffer<std::int32_t> begin_;
};

}  // namespace headspark
