// The rotary tables of a model's layers.
#pragma once

#include <cstdint>

#include "headspark/engine.h"
#include "headspark/ops/rotary.h"

namespace headspark {

/// Both cover the same positions.
struct RotaryTables {
  RotaryTable scaled;
  RotaryTable unscaled;  ///< of config.unscaled layers; empty where there are none

  const RotaryTable& of(const ModelConfig& config, std::int64_t layer) const {
    return config.scales_rotation(layer) ? scaled : unscaled;
  }
  std::int64_t positions() const { return scaled.positions; }
};

/// Tables for `positions` positions; INVALID_ARGUMENT if the model has fewer.
RotaryTables rotary_for(const Engine& engine, std::int64_t positions);

}  // namespace headspark
