// Rows of fp32 values as the bf16 terms that products multiply, in device memory. Whoever makes
// rows for several products makes their terms once.
#pragma once

#include "cuda/op_device.h"
#include "headspark/isa.h"

namespace headspark::cuda {

/// bf16 that one access moves at most.
constexpr int kElementsOf16Bytes = 8;

/// Element k of row r in term i is data[i * term_stride + r * stride + k].
struct TermRows {
  std::uint16_t* data = nullptr;  ///< bf16, aligned to 16 bytes
  int terms = 0;                  ///< 1, or the 3 that hold all bits; 0: there are none
  std::int64_t rows = 0;
  std::int64_t depth = 0;
  std::int64_t stride = 0;       ///< the depth rounded up to 8; what follows it in a row is zero
  std::int64_t term_stride = 0;  ///< whole tiles of 128 rows; those after `rows` are undefined
};

/// Terms of a row in this precision.
inline int term_count(Precision precision) {
  return precision == Precision::fast ? 1 : 3;
}

/// Room for rows; with `sets`, as many of them, one after the other (next_set). Products that are
/// given terms leave gemm_terms alone.
TermRows term_rows(OpDevice& device, int terms, std::int64_t rows, std::int64_t depth,
                   std::int64_t sets = 1, ScratchSlot slot = ScratchSlot::gemm_terms);
/// The set after `rows` in the same room.
TermRows next_set(const TermRows& rows);

/// Writes rows of a, of stride a_stride, as terms.
void split_rows(OpDevice& device, const float* a, std::int64_t a_stride, const TermRows& to);

}  // namespace headspark::cuda
