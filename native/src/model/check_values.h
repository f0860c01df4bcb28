// Refuses NaN and infinite weights: one pass over the mapped bytes that looks at exponents only.
#pragma once

#include <vector>

#include "headspark/run_control.h"
#include "model/mapped_checkpoint.h"

namespace headspark {

/// Error(TENSOR_VALUE) names file, tensor and the flat index of the first bad element (of the
/// first bad tensor in the list). Uses two threads, because one cannot saturate the memory.
void check_values(const std::vector<const StoredTensor*>& tensors, const RunControl& control);

}  // namespace headspark
