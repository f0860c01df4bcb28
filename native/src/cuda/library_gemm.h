// gemm() by cuBLASLt, where it is there and the weight suits it.
#pragma once

#include "cuda/gemm.h"

namespace headspark::cuda {

/// False, with nothing done, when the own kernel must compute the product. Which of them computes
/// depends on the weight alone, never on the number of rows.
bool library_gemm(OpDevice& device, Precision precision, const Gemm& problem);

}  // namespace headspark::cuda
