// Householder reduction to Hessenberg form, then the QR iteration with Wilkinson's shifts and
// deflation, in complex arithmetic so that one kind of step serves real and paired eigenvalues
// (Golub & Van Loan, Matrix Computations, 4th ed., sections 7.4 and 7.5).
#include "engine/eigenvalues.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "headspark/error.h"

namespace headspark {
namespace {

using Complex = std::complex<double>;

/// a = Q H Qᵀ with H zero below its first subdiagonal; Q is not kept.
void reduce_to_hessenberg(std::vector<double>& a, std::int64_t n) {
  std::vector<double> v(static_cast<std::size_t>(n));
  for (std::int64_t k = 0; k + 2 < n; ++k) {
    double squares = 0.0;
    for (std::int64_t i = k + 1; i < n; ++i) squares += a[i * n + k] * a[i * n + k];
    const double norm = std::sqrt(squares);
    if (norm == 0.0) continue;
    for (std::int64_t i = k + 1; i < n; ++i) v[i] = a[i * n + k];
    v[k + 1] += v[k + 1] < 0.0 ? -norm : norm;
    double length = 0.0;
    for (std::int64_t i = k + 1; i < n; ++i) length += v[i] * v[i];
    for (std::int64_t j = k; j < n; ++j) {  // rows: a -= v (2 vᵀa / vᵀv)
      double sum = 0.0;
      for (std::int64_t i = k + 1; i < n; ++i) sum += v[i] * a[i * n + j];
      for (std::int64_t i = k + 1; i < n; ++i) a[i * n + j] -= 2.0 * sum / length * v[i];
    }
    for (std::int64_t i = 0; i < n; ++i) {  // columns: a -= (2 a v / vᵀv) vᵀ
      double sum = 0.0;
      for (std::int64_t j = k + 1; j < n; ++j) sum += a[i * n + j] * v[j];
      for (std::int64_t j = k + 1; j < n; ++j) a[i * n + j] -= 2.0 * sum / length * v[j];
    }
  }
}

class HessenbergIteration {
 public:
  HessenbergIteration(const std::vector<double>& a, std::int64_t n)
      : n_(n), h_(a.begin(), a.end()) {
    for (std::int64_t i = 0; i < n; ++i) {
      for (std::int64_t j = 0; j + 1 < i; ++j) at(i, j) = 0.0;
    }
  }

  std::vector<Complex> run() {
    std::vector<Complex> values;
    std::int64_t steps = 0;
    for (std::int64_t last = n_ - 1; last >= 0;) {
      const std::int64_t first = start_of_block(last);
      if (first == last) {
        values.push_back(at(last, last));
        --last;
        steps = 0;
        continue;
      }
      if (++steps > kMostSteps) {
        throw Error(ErrorCode::INTERNAL, "The eigenvalues of a head's OV matrix did not converge.");
      }
      // Every tenth step another shift, for matrices on which Wilkinson's runs in circles.
      const Complex shift =
          steps % 10 == 0 ? at(last, last) + std::abs(at(last, last - 1)) : wilkinson(last);
      step(first, last, shift);
    }
    return values;
  }

 private:
  static constexpr std::int64_t kMostSteps = 300;  // some 3 per eigenvalue are usual

  Complex& at(std::int64_t i, std::int64_t j) { return h_[static_cast<std::size_t>(i * n_ + j)]; }

  /// Where the unreduced block that ends at `last` begins; tiny subdiagonals become zero.
  std::int64_t start_of_block(std::int64_t last) {
    for (std::int64_t i = last; i > 0; --i) {
      double scale = std::abs(at(i - 1, i - 1)) + std::abs(at(i, i));
      if (scale == 0.0) scale = largest();
      if (std::abs(at(i, i - 1)) <= std::numeric_limits<double>::epsilon() * scale) {
        at(i, i - 1) = 0.0;
        return i;
      }
    }
    return 0;
  }

  double largest() const {
    double most = 0.0;
    for (const Complex& value : h_) most = std::max(most, std::abs(value));
    return most;
  }

  /// The eigenvalue of the trailing 2 x 2 block that is nearer to its last element.
  Complex wilkinson(std::int64_t last) {
    const Complex a = at(last - 1, last - 1);
    const Complex d = at(last, last);
    const Complex half = 0.5 * (a - d);
    const Complex root = std::sqrt(half * half + at(last - 1, last) * at(last, last - 1));
    const Complex plus = d + half + root;
    const Complex minus = d + half - root;
    return std::abs(plus - d) < std::abs(minus - d) ? plus : minus;
  }

  /// H - shift = Q R, then H = R Q + shift, within the block.
  void step(std::int64_t first, std::int64_t last, Complex shift) {
    std::vector<Complex> cosines(static_cast<std::size_t>(last - first));
    std::vector<Complex> sines(cosines.size());
    for (std::int64_t i = first; i <= last; ++i) at(i, i) -= shift;
    for (std::int64_t k = first; k < last; ++k) {
      const Complex x = at(k, k);
      const Complex y = at(k + 1, k);
      const double length = std::hypot(std::abs(x), std::abs(y));
      const Complex c = length == 0.0 ? Complex(1.0) : x / length;
      const Complex s = length == 0.0 ? Complex(0.0) : y / length;
      for (std::int64_t j = k; j <= last; ++j) {
        const Complex upper = at(k, j);
        const Complex lower = at(k + 1, j);
        at(k, j) = std::conj(c) * upper + std::conj(s) * lower;
        at(k + 1, j) = c * lower - s * upper;
      }
      cosines[static_cast<std::size_t>(k - first)] = c;
      sines[static_cast<std::size_t>(k - first)] = s;
    }
    for (std::int64_t k = first; k < last; ++k) {
      const Complex c = cosines[static_cast<std::size_t>(k - first)];
      const Complex s = sines[static_cast<std::size_t>(k - first)];
      for (std::int64_t i = first; i <= std::min(k + 1, last); ++i) {
        const Complex left = at(i, k);
        const Complex right = at(i, k + 1);
        at(i, k) = c * left + s * right;
        at(i, k + 1) = std::conj(c) * right - std::conj(s) * left;
      }
    }
    for (std::int64_t i = first; i <= last; ++i) at(i, i) += shift;
  }

  std::int64_t n_;
  std::vector<Complex> h_;
};

}  // namespace

std::vector<Complex> eigenvalues(std::vector<double> matrix, std::int64_t n) {
  const bool finite =
      std::all_of(matrix.begin(), matrix.end(), [](double x) { return std::isfinite(x); });
  if (!finite) {
    return std::vector<Complex>(static_cast<std::size_t>(n),
                                Complex(std::numeric_limits<double>::quiet_NaN()));
  }
  reduce_to_hessenberg(matrix, n);
  return HessenbergIteration(matrix, n).run();
}

}  // namespace headspark
