// Stored weights as the bf16 terms that products multiply: each value as the sum of one number, or
// of as many as hold all of its bits.
#pragma once

#include "cuda/runtime.h"
#include "headspark/dtype.h"

namespace headspark::cuda {

struct SplitValues {
  const void* values = nullptr;
  DType type = DType::f32;
  std::int64_t count = 0;
  std::uint16_t* to = nullptr;  ///< term t of value i at t * term_stride + i
  int terms = 1;                ///< 1 to 3
  std::int64_t term_stride = 0;
};

/// In device memory.
void split_values(Stream stream, const SplitValues& params);

}  // namespace headspark::cuda
