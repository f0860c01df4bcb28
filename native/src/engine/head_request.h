// Checks of a request for head properties, and its plan: which heads of which layers, in which
// micro-batches of prompts.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "headspark/head_properties.h"

namespace headspark {

/// The chosen heads of one layer.
struct LayerHeads {
  std::int32_t layer = 0;
  std::size_t first = 0;            ///< of request.heads
  std::vector<std::int32_t> heads;  ///< ascending
};

struct HeadRequestPlan {
  const HeadPropertiesRequest& request;
  std::vector<LayerHeads> groups;  ///< ascending by layer
  std::int64_t longest = 0;        ///< tokens of the longest prompt
  std::int64_t heads_at_once = 1;  ///< of a layer, whose maps are in memory together
  std::vector<std::pair<std::size_t, std::size_t>> batches;  ///< ranges of prompts
};

/// Throws INVALID_ARGUMENT.
void check_head_request(const Engine& engine, const HeadPropertiesRequest& request);

/// Throws OUT_OF_MEMORY when the longest prompt does not fit the budget. The request must outlive
/// the plan.
HeadRequestPlan plan_head_request(const Engine& engine, const HeadPropertiesRequest& request);

}  // namespace headspark
