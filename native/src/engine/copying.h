// The copying score of heads: does reading a token make that token likelier?
#pragma once

#include <span>
#include <vector>

#include "headspark/head_properties.h"

namespace headspark {

/// HeadProperties::copying of these heads. Workspace: hidden * (hidden + 8192) floats.
std::vector<float> copying_scores(const Engine& engine, std::span<const HeadIndex> heads,
                                  const RunControl& control);

}  // namespace headspark
