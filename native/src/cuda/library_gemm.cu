// Rows become bf16 terms (one, or the three that hold all bits) in tiles of 128 rows; the terms'
// products with the bf16 weight are summed in fp32, the smallest first; then bias and residual.
#include "cuda/bf16_terms.h"
#include "cuda/elements.h"
#include "cuda/library_gemm.h"
#include "cuda/lt_products.h"

namespace headspark::cuda {
namespace {

constexpr std::int64_t kElementsOf16Bytes = 8;

struct SplitRows {
  const float* a;
  std::int64_t stride;
  std::int64_t rows;
  std::int64_t depth;
  std::int64_t padded_rows;
  std::int64_t padded_depth;
  std::uint32_t* terms;  // [terms, padded_rows, padded_depth] of bf16, two at a time
};

template <int Terms>
HEADSPARK_KERNEL(kElementThreads)
split_rows_kernel(SplitRows p) {
  const std::int64_t pairs = p.padded_rows * p.padded_depth / 2;
  const std::int64_t i = element_index();
  if (i >= pairs) return;
  const std::int64_t row = 2 * i / p.padded_depth;
  const std::int64_t k = 2 * i % p.padded_depth;
  const float* a = p.a + row * p.stride;
  const float low = row < p.rows && k < p.depth ? a[k] : 0.0f;
  const float high = row < p.rows && k + 1 < p.depth ? a[k + 1] : 0.0f;
  const TermPair<Terms> pair = split_pair<Terms>(low, high);
  HEADSPARK_UNROLL
  for (int t = 0; t < Terms; ++t) p.terms[t * pairs + i] = pair.term[t];
}

struct Finish {
  const float* product;  // [rows, columns]
  std::int64_t rows;
  std::int64_t columns;
  float scale;
  const float* bias;
  const float* initial;
  float* c;
  std::int64_t c_stride;
};

HEADSPARK_KERNEL(kElementThreads) finish_kernel(Finish p) {
  const std::int64_t i = element_index();
  if (i >= p.rows * p.columns) return;
  const std::int64_t at = i / p.columns * p.c_stride + i % p.columns;
  float value = p.initial != nullptr ? p.initial[at] : 0.0f;
  if (p.bias != nullptr) value += p.bias[i % p.columns];
  p.c[at] = multiply_add(p.scale, p.product[i], value);
}

std::int64_t rounded(std::int64_t value, std::int64_t to) {
  return (value + to - 1) / to * to;
}

bool suits(const Gemm& g) {
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(g.b.data) % 16 == 0 && g.b.stride % kElementsOf16Bytes == 0;
  return g.b.dtype == DType::bf16 && aligned && g.depth_split == 0 && g.depth > 0;
}

}  // namespace

bool library_gemm(OpDevice& device, Precision precision, const Gemm& g) {
  LtProducts* const products = suits(g) ? device.products() : nullptr;
  if (products == nullptr) return false;
  const int terms = precision == Precision::fast ? 1 : 3;
  LtProduct p;
  p.tiles = rounded(g.rows, kLtTileRows) / kLtTileRows;
  p.columns = g.columns;
  p.depth = g.depth;
  p.a_stride = rounded(g.depth, kElementsOf16Bytes);
  p.b = g.b.data;
  p.b_stride = g.b.stride;
  p.by_depth = g.b.by_depth;
  const std::int64_t rows = p.tiles * kLtTileRows;
  const std::int64_t term_elements = rows * p.a_stride;
  auto* const split = static_cast<std::uint32_t*>(
      device.scratch(ScratchSlot::gemm_terms, terms * term_elements * 2));
  p.c = device.scratch_floats(ScratchSlot::gemm_splits, rows * g.columns);
  const SplitRows split_rows{g.a, g.a_stride, g.rows, g.depth, rows, p.a_stride, split};
  launch(device.stream(), element_shape(term_elements / 2),
         terms == 1 ? &split_rows_kernel<1> : &split_rows_kernel<3>, split_rows);
  for (int term = terms - 1; term >= 0; --term) {
    p.a = split + term * term_elements / 2;
    p.add = term < terms - 1;
    if (!products->multiply(device.stream(), p)) return false;
  }
  launch(device.stream(), element_shape(g.rows * g.columns), &finish_kernel,
         Finish{p.c, g.rows, g.columns, g.scale, g.bias, g.initial, g.c, g.c_stride});
  return true;
}

}  // namespace headspark::cuda
