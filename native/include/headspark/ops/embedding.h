// Token (and learned position) embeddings: rows of a stored matrix as fp32, times a scale.
#pragma once

#include <cstdint>

#include "headspark/context.h"
#include "headspark/weight.h"

namespace headspark {

struct EmbeddingForward {
  const WeightView* table = nullptr;      ///< [entries, width]
  const std::int32_t* indices = nullptr;  ///< [tokens], each < entries
  std::int64_t tokens = 0;
  float* y = nullptr;     ///< [tokens, width]
  bool add_to_y = false;  ///< y += instead of y =
  float scale = 1.0f;
};

void embedding_forward(const Context& context, const EmbeddingForward& params);

}  // namespace headspark
