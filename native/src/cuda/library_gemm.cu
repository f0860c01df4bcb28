// Rows become bf16 terms (one, or the three that hold all bits), unless they are already, in tiles
// of 128 rows; the terms' products with the bf16 weight are summed in fp32, the smallest first;
// then bias and residual.
#include "cuda/alignment.h"
#include "cuda/elements.h"
#include "cuda/library_gemm.h"
#include "cuda/lt_products.h"

namespace headspark::cuda {
namespace {

constexpr std::int64_t kElementsOf16Bytes = 8;
// From so many tiles on the library writes whole tiles where they belong, and the rows of the last,
// partial one take a launch of their own; below, that launch costs more than another pass over c.
constexpr std::int64_t kDirectTiles = 8;

struct Finish {
  const float* product;  // [rows, columns]; may be plain
  std::int64_t rows;
  std::int64_t columns;
  float scale;
  const float* bias;
  const float* initial;
  float* plain;
  float* c;
  std::int64_t c_stride;
};

// Without scale, bias and initial this is a copy, and with initial alone what the library's own
// epilogue does: a row's bits do not depend on who wrote it.
HEADSPARK_KERNEL(kElementThreads) finish_kernel(Finish p) {
  const std::int64_t i = element_index();
  if (i >= p.rows * p.columns) return;
  const std::int64_t at = i / p.columns * p.c_stride + i % p.columns;
  float value = p.scale * p.product[i];
  if (p.bias != nullptr) value = multiply_add(p.scale, p.product[i], p.bias[i % p.columns]);
  if (p.plain != nullptr) p.plain[at] = value;
  if (p.initial != nullptr) value = value + p.initial[at];
  p.c[at] = value;
}

bool suits(const Gemm& g) {
  return library_reads(g.b) && g.depth > 0;
}

/// Sums of products that lie where the caller wants them, or in scratch.
struct Sums {
  float* to;
  const float* add;  // null: nothing
};

/// Where the library may write a product's sums itself; `to` is null where it may not.
Sums direct_sums(const Gemm& g, int terms) {
  const Sums sums{g.plain != nullptr ? g.plain : g.c, g.plain != nullptr ? nullptr : g.initial};
  const bool as_they_are = g.scale == 1.0f && g.bias == nullptr && g.c_stride == g.columns;
  // Several terms are summed before anything else is added.
  const bool adds = sums.add == nullptr || (terms == 1 && aligned_to(16, sums.add));
  return as_they_are && adds && aligned_to(16, sums.to) ? sums : Sums{nullptr, nullptr};
}

struct LibraryProduct {
  OpDevice& device;
  LtProducts& products;
  const Gemm& g;
  const TermRows& a;
};

/// Of `tiles` tiles from row `begin` on. False where the library cannot.
bool multiply_terms(const LibraryProduct& l, std::int64_t begin, std::int64_t tiles,
                    const Sums& sums) {
  LtProduct p;
  p.tiles = tiles;
  p.columns = l.g.columns;
  p.depth = l.g.depth;
  p.a_stride = l.a.stride;
  p.b = l.g.b.data;
  p.b_stride = l.g.b.stride;
  p.by_depth = l.g.b.by_depth;
  p.c = sums.to;
  p.add = sums.add;
  for (int term = l.a.terms - 1; term >= 0; --term) {
    p.a = l.a.data + term * l.a.term_stride + begin * l.a.stride;
    if (!l.products.multiply(l.device.stream(), p)) return false;
    p.add = p.c;
  }
  return true;
}

/// What follows the sums of the rows from `begin` to `end`, whose first is at `product`.
void finish(const LibraryProduct& l, std::int64_t begin, std::int64_t end, const float* product) {
  if (begin == end) return;
  const Gemm& g = l.g;
  const auto row = [&](auto* p) { return p != nullptr ? p + begin * g.c_stride : nullptr; };
  launch(l.device.stream(), element_shape((end - begin) * g.columns), &finish_kernel,
         Finish{product, end - begin, g.columns, g.scale, g.bias, row(g.initial), row(g.plain),
                row(g.c), g.c_stride});
}

}  // namespace

bool library_reads(const GemmOperand& b) {
  return b.dtype == DType::bf16 && aligned_to(16, b.data) && b.stride % kElementsOf16Bytes == 0;
}

bool library_gemm(OpDevice& device, Precision precision, const Gemm& g) {
  LtProducts* const products = suits(g) ? device.products() : nullptr;
  if (products == nullptr) return false;
  TermRows a = g.a.terms;
  if (a.terms == 0) {
    a = term_rows(device, term_count(precision), g.rows, g.depth);
    split_rows(device, g.a.values, g.a.stride, a);
  }
  const LibraryProduct l{device, *products, g, a};
  const std::int64_t whole = g.rows / kLtTileRows;
  const std::int64_t tiles = (g.rows + kLtTileRows - 1) / kLtTileRows;
  const Sums direct = direct_sums(g, a.terms);
  const bool pays = whole == tiles || whole >= kDirectTiles;
  const std::int64_t in_place = direct.to != nullptr && pays ? whole : 0;
  const std::int64_t begin = in_place * kLtTileRows;
  if (in_place > 0) {
    if (!multiply_terms(l, 0, in_place, direct)) return false;
    if (g.plain != nullptr) {
      launch(device.stream(), element_shape(begin * g.columns), &finish_kernel,
             Finish{g.plain, begin, g.columns, 1.0f, nullptr, g.initial, nullptr, g.c, g.columns});
    }
  }
  if (in_place == tiles) return true;
  float* const sums = device.scratch_floats(ScratchSlot::product_sums,
                                            (tiles - in_place) * kLtTileRows * g.columns);
  if (!multiply_terms(l, begin, tiles - in_place, {sums, nullptr})) return false;
  finish(l, begin, g.rows, sums);
  return true;
}

}  // namespace headspark::cuda
