// Rotary position embedding (arXiv 2104.09864) in the half-split layout of Hugging Face, on the
// first 2 * pairs dimensions of every head (partial rotary leaves the rest untouched).
#pragma once

#include <cstdint>

#include "headspark/context.h"
#include "headspark/shared_floats.h"

namespace headspark {

/// cos and sin per position, computed as Hugging Face does: fp32 frequencies, fp32 angles.
struct RotaryTable {
  std::int64_t positions = 0;
  std::int64_t pairs = 0;  ///< rotated pairs per head, rotary_dim / 2; 0: no rotary
  SharedFloats cosine;     ///< [positions, pairs]
  SharedFloats sine;       ///< [positions, pairs]
};

struct Rotary {
  const RotaryTable* table = nullptr;
  const std::int32_t* positions = nullptr;  ///< [tokens], each < table->positions
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t head_dim = 0;
  float* x = nullptr;  ///< [tokens, heads, head_dim], rotated in place unless x_from is given
  /// k beside q, in one launch where launches cost: [tokens, second_heads, head_dim], or null.
  std::int64_t second_heads = 0;
  float* second = nullptr;
  /// Where x and second are read, with their shapes; null: where they are written.
  const float* x_from = nullptr;
  const float* second_from = nullptr;

  /// What rotated dimensions are multiplied by as well, in the gradient too.
  float scale = 1.0f;

  /// The same for one array.
  const float* source() const { return x_from != nullptr ? x_from : x; }
};

void rotary_forward(const Context& context, const Rotary& params);

/// The gradient: the inverse rotation of params.x, times the scale.
void rotary_backward(const Context& context, const Rotary& params);

}  // namespace headspark
