// Random weights in the shape of SmolLM2-135M, without a file.
#pragma once

#include <memory>

#include "headspark/model.h"

namespace headspark::bench {

/// bf16 weights whose values keep their variance from layer to layer; the model owns them.
std::shared_ptr<const Model> synthetic_model();

}  // namespace headspark::bench
