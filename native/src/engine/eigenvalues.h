// Eigenvalues of a small real matrix.
#pragma once

#include <complex>
#include <cstdint>
#include <vector>

namespace headspark {

/// All eigenvalues of a [n, n] matrix, with multiplicity, in no order that means anything. NaN when
/// the matrix holds a value that is not finite. Error(INTERNAL) should the iteration not converge.
std::vector<std::complex<double>> eigenvalues(std::vector<double> matrix, std::int64_t n);

}  // namespace headspark
