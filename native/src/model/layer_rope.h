// Rotary parameters that differ between layers with a sliding window and those without, as newer
// files of OLMo 3 and Gemma 3 have them.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "model/json_input.h"

namespace headspark {

struct LayerRope {
  nlohmann::json config;  ///< the file's, with the rotation of layers without a window alone
  bool by_layer = false;  ///< whether the file had "rope_parameters" by the layers' attention
  std::optional<double> window_theta = {};  ///< the base of layers with a window, where given
};

/// CONFIG where layers with a window rotate by a scaling.
LayerRope split_rope(const JsonObject& json);

}  // namespace headspark
