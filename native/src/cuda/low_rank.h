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

/// The rows of all heads of a projection, which meet d W and d A behind d B.
struct ProjectionRows {
  TermRows d;  ///< [tokens, heads * head_dim]
  std::int64_t heads = 0;
  std::int64_t share = 1;  ///< neighbouring heads that have one part of W and of B
  std::int64_t head_dim = 0;
};

/// A term's part of d W, for every head: rows times A.
struct HeadLowRank {
  TermRows rows;                          ///< [tokens, heads * depth]: scale d B
  const std::uint16_t* factor = nullptr;  ///< bf16, A: [depth, in]
  std::int64_t depth = 0;                 ///< whole tiles of kTileDepth; 0: no term
};

/// Of a weight that has a term. Valid as scratch memory of low-rank terms is.
HeadLowRank head_low_rank(OpDevice& device, Precision precision, const LinearWeight& weight,
                          const ProjectionRows& rows);

/// Copies the factors to the device where they are not there yet.
void upload_low_rank(OpDevice& device, Precision precision, const LinearWeight& weight);

}  // namespace headspark::cuda
