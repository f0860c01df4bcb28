// How much memory the runs of an engine may take, decided before the first of them.
#pragma once

#include <cstdint>

#include "headspark/backend.h"
#include "headspark/engine.h"

namespace headspark {

/// What the model's matrices take on a device of its own memory, where products in fast read bf16;
/// a tied embedding counts once for each type.
std::int64_t weight_bytes(const Model& model, Precision precision);

/// The budget of `options`, or one for what `backend` has free. OUT_OF_MEMORY, with the planned
/// sizes, when a device has no room for the weights and the budget (at least 64 MiB).
MemoryPlan plan_memory(const Model& model, const EngineOptions& options, Backend& backend);

}  // namespace headspark
