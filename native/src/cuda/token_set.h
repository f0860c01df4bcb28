// The correct or incorrect tokens of one row on the GPU, as ops/token_set.h has them on the host.
#pragma once

#include <cstdint>

#include "cuda/cuda_language.h"

namespace headspark::cuda {

struct Tokens {
  const std::int32_t* begin;
  std::int64_t size;
};

HEADSPARK_DEVICE Tokens token_set(const std::int32_t* tokens, const std::int32_t* offsets,
                                  std::int64_t row) {
  if (offsets == nullptr) return {nullptr, 0};
  return {tokens + offsets[row], offsets[row + 1] - offsets[row]};
}

/// The mean of value(token) over the set, 0 for an empty one.
template <typename Value>
HEADSPARK_DEVICE double token_mean(const Tokens& set, const Value& value) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < set.size; ++i) sum += value(set.begin[i]);
  return sum / static_cast<double>(set.size > 0 ? set.size : 1);
}

HEADSPARK_DEVICE double mean_logit(const Tokens& set, const float* x) {
  return token_mean(set, [x](std::int32_t token) { return x[token]; });
}

}  // namespace headspark::cuda
