// gemm() on rows of terms and weights whose terms are copied 16 bytes at a time: the own kernel for
// the weights that cuBLASLt takes, where there is no cuBLASLt.
#pragma once

#include "cuda/gemm.h"

namespace headspark::cuda {

/// Whether rows of products with such a weight are read as terms: its own are aligned to 16 bytes.
bool suits_terms(const GemmOperand& weight);

/// The rows of a product as terms, which are made where there are none.
TermRows rows_as_terms(OpDevice& device, Precision precision, const Gemm& problem);

/// 128 or 64 rows and columns, or what suits the product; no bit depends on it.
enum class GemmTiles { fitting, large, small };

/// Of a weight that suits.
void term_gemm(OpDevice& device, Precision precision, const Gemm& problem,
               GemmTiles tiles = GemmTiles::fitting);

}  // namespace headspark::cuda
