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
  bool exists;
};

/// Rows of one head that lie evenly, by their number; zeros outside [begin, begin + count).
struct HeadRows {
  const Bf16* first;  ///< row `begin`, or any address of terms where there is none
  std::int64_t term_stride;
  std::int32_t stride_bytes;
  std::int32_t begin;
  std::int32_t count;

  HEADSPARK_DEVICE TermRow row(std::int32_t number) const {
    const auto k = static_cast<std::uint32_t>(number - begin);
    const bool exists = k < static_cast<std::uint32_t>(count);
    // One instruction, a wide product and its sum: an index of elements would be three.
    const std::int64_t bytes = static_cast<std::int64_t>(exists ? k : 0) * stride_bytes;
    return {reinterpret_cast<const Bf16*>(reinterpret_cast<const unsigned char*>(first) + bytes),
            exists};
  }
  /// From this column on, which exists or not.
  HEADSPARK_DEVICE HeadRows from_column(std::int32_t column, bool exists) const {
    return {exists ? first + column : first, term_stride, stride_bytes, begin, exists ? count : 0};
  }
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
  /// `count` rows from this token on, numbered from `begin` on.
  HEADSPARK_DEVICE HeadRows rows(std::int64_t token, std::int32_t head, std::int32_t begin,
                                 std::int32_t count) const {
    return {count > 0 ? at(token, head) : data, term_stride,
            heads * width * static_cast<std::int32_t>(sizeof(Bf16)), begin, count};
  }
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
