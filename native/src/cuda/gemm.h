// The own matrix product on tensor cores: c[rows, columns] = initial + bias + scale * a b, with
// fp32 a or its terms, and the terms of b. In `exact` the bf16 terms of an operand hold all of its
// bits; `fast` has one term. Tiles and the order of every sum are fixed, so that an element's bits
// depend on its operands alone.
#pragma once

#include "cuda/term_rows.h"

namespace headspark::cuda {

struct GemmOperand {
  const std::uint16_t* data = nullptr;  ///< bf16
  std::int64_t stride = 0;              ///< elements from one stored row to the next
  bool by_depth = false;                ///< stored [depth, columns] rather than [columns, depth]
  int terms = 1;                        ///< 1 in fast
  std::int64_t term_stride = 0;         ///< elements from one term to the next
};

/// All of a weight.
inline GemmOperand whole_operand(const DeviceTerms& weight, bool by_depth) {
  return {weight.data, weight.cols, by_depth, weight.terms, weight.term_stride()};
}

/// The rows of a product: fp32, or already split into terms, as many as the precision takes.
struct GemmRows {
  const float* values = nullptr;  ///< [rows, depth]; not read where there are terms
  std::int64_t stride = 0;
  TermRows terms = {};
};

struct Gemm {
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  GemmRows a;
  GemmOperand b;
  float scale = 1.0f;
  float* c = nullptr;  ///< [rows, columns], stride c_stride
  std::int64_t c_stride = 0;
  const float* bias = nullptr;     ///< [columns] or null
  const float* initial = nullptr;  ///< [rows, columns], stride c_stride, or null; may be c
  float* plain = nullptr;          ///< the same: where c without `initial` goes as well, or null
  /// bf16 of the same shape and stride, instead of c: its values rounded. Not with `initial` or
  /// `plain`.
  std::uint16_t* narrow = nullptr;
  bool decoding = false;  ///< see Context: the sums may have another order then
};

/// By cuBLASLt where it is there and suits the weight (library_gemm.h).
void gemm(OpDevice& device, Precision precision, const Gemm& problem);

}  // namespace headspark::cuda
