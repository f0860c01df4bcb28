// Rows of heads as the bf16 terms that attention multiplies, in device memory: split once, then
// copied to shared memory by every block that reads them.
#pragma once

#include <span>

#include "cuda/bf16_terms.h"
#include "cuda/op_device.h"

namespace headspark::cuda {

/// A row of one head in all terms, or zeros: then `data` is any address of terms.
struct TermRow {
  const Bf16* data;
  std::int64_t term_stride;
  bool exists;
};

/// [terms, tokens, heads, width]; what lies beyond head_dim in a row is zero.
struct HeadTerms {
  Bf16* data = nullptr;
  std::int64_t term_stride = 0;
  std::int32_t heads = 0;
  std::int32_t width = 0;  ///< head_dim rounded up to 8: rows are aligned to 16 bytes

  HEADSPARK_DEVICE Bf16* at(std::int64_t token, std::int32_t head) const {
    return data + (token * heads + head) * width;
  }
  HEADSPARK_DEVICE TermRow row(std::int64_t token, std::int32_t head) const {
    return {at(token, head), term_stride, true};
  }
  HEADSPARK_DEVICE TermRow zeros() const { return {data, 0, false}; }
};

/// Values [tokens, heads, head_dim] and where their terms belong.
struct HeadValues {
  const float* values;
  std::int64_t tokens;
  std::int64_t heads;
  HeadTerms* terms;
};

/// Room for the terms of all arrays, in ScratchSlot::attention_terms, which it takes anew: their
/// `terms` are set. Arrays without tokens get none.
void place_head_terms(OpDevice& device, int terms, std::int64_t head_dim,
                      std::span<const HeadValues> arrays);

/// Writes the terms of placed arrays; those without values are left to others.
void split_heads(OpDevice& device, int terms, std::int64_t head_dim,
                 std::span<const HeadValues> arrays);

}  // namespace headspark::cuda
