// The low-rank term of a layer by products of bf16 terms on tensor cores, whatever its factors are
// stored as.
#pragma once

#include "cuda/gemm.h"
#include "ops/linear_range.h"

namespace headspark::cuda {

/// Rows that meet a low-rank term, and where it goes.
struct LowRankRows {
  std::int64_t rows = 0;
  GemmRows a;             ///< x, or d_y
  bool backward = false;  ///< c += scale (a B) A, rather than scale (a Aᵀ) Bᵀ
  float* c = nullptr;
  std::int64_t c_stride = 0;
  bool decoding = false;  ///< see Context
};

/// Adds the term of a weight that has one, of the slice in `range`. Takes the scratch memory of
/// low-rank terms, and of product rows where `a` is no terms.
void add_low_rank(OpDevice& device, Precision precision, const LinearWeight& weight,
                  const LinearRange& range, const LowRankRows& rows);

/// Copies the factors to the device where they are not there yet.
void upload_low_rank(OpDevice& device, Precision precision, const LinearWeight& weight);

}  // namespace headspark::cuda
