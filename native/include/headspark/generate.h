// Greedy generation with gated heads and a key/value cache.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "headspark/engine.h"

namespace headspark {

struct GenerateOptions {
  std::int32_t max_new_tokens = 64;
  std::vector<std::int32_t> stop_tokens;  ///< ends a row; the stop token is kept as its last token
};

struct GenerateRow {
  std::vector<std::int32_t> prompt;
  std::vector<GatedHead> heads;  ///< zero ablation or scaling of this row's heads, at all positions
};

/// The new tokens of each row. A row's tokens do not depend on the other rows. Ties of the largest
/// logit go to the smallest token id.
std::vector<std::vector<std::int32_t>> generate_greedy(const Engine& engine,
                                                       std::span<const GenerateRow> rows,
                                                       const GenerateOptions& options,
                                                       const RunControl& control);

}  // namespace headspark
