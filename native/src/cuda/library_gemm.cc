// Rows become bf16 terms (one, or the three that hold all bits), unless they are already, in tiles
// of 128 rows; the terms' products with those of the weight are summed in fp32, the smallest first;
// then bias and residual.
#include "cuda/library_gemm.h"

#include <algorithm>

#include "cuda/alignment.h"
#include "cuda/lt_products.h"
#include "cuda/product_sums.h"
#include "cuda/term_gemm.h"
#include "cuda/term_products.h"

namespace headspark::cuda {
namespace {

// From so many tiles on the library writes whole tiles where they belong, and the rows of the last,
// partial one take a launch of their own; below, that launch costs more than another pass over c.
constexpr std::int64_t kDirectTiles = 8;

// Tensor cores cut off what does not fit the fp32 sum at each of their steps, so that a long sum
// drifts towards zero: at a depth of 8,960 by some 1e-5 of the largest, three times what a sum of
// rounded products is off by. In `exact` the product of the leading terms is summed in slices of at
// most so many, which are rounded into each other; what the other terms' products lose is 2^-8 of
// it.
constexpr std::int64_t kSliceDepth = 1024;
// Of slices, but for the last one: whole steps of any kernel.
constexpr std::int64_t kSliceStep = 64;

bool suits(const Gemm& g) {
  return suits_terms(g.b) && g.depth > 0;
}

/// What slices of a depth leave for the last one.
std::int64_t last_of(std::int64_t depth, std::int64_t slice) {
  return depth - (depth - 1) / slice * slice;
}

/// Sums of products that lie where the caller wants them, or in scratch.
struct Sums {
  void* to;          // of the product's type()
  const float* add;  // null: nothing
};

/// A product and what the library does of it besides multiplying. That is a matter of the weight
/// and of the caller, not of the rows: what the library chooses for such products may sum in
/// another order.
struct LibraryProduct {
  OpDevice& device;
  LtProducts& products;
  const Gemm& g;
  const TermRows& a;
  std::int64_t parts = 0;  ///< see LtProduct
  std::int64_t slice = 0;  ///< of the depth of the leading terms' product; 0: all of it
  bool adds_bias = false;
  bool rounds = false;

  DType type() const { return rounds ? DType::bf16 : DType::f32; }
  bool one_product() const { return a.terms == 1 && g.b.terms == 1 && slice == 0; }
  /// Of the last product, which gets the bias.
  std::int64_t last_depth() const { return slice == 0 ? g.depth : last_of(g.depth, slice); }
  /// Whether sums are what the caller wants, but for `initial` and `plain`.
  bool as_they_are() const {
    return parts <= 1 && g.scale == 1.0f && (g.bias == nullptr || adds_bias) &&
           (g.narrow == nullptr || rounds);
  }
  /// Sums of so many tiles in scratch, for finish().
  ProductSums sums(void* data, std::int64_t tiles) const {
    return {data, type(), std::max<std::int64_t>(1, parts), tiles * kLtTileRows * g.columns,
            adds_bias};
  }
};

/// The operands but for the rows.
LtProduct operands(const LibraryProduct& l) {
  LtProduct p;
  p.columns = l.g.columns;
  p.depth = l.g.depth;
  p.parts = l.parts;
  p.a_stride = l.a.stride;
  p.b = l.g.b.data;
  p.b_stride = l.g.b.stride;
  p.by_depth = l.g.b.by_depth;
  p.type = l.type();
  return p;
}

/// Decode steps have products of their own, where the library has what they need.
void choose_parts(LibraryProduct& l) {
  if (!l.g.decoding || l.g.b.by_depth) return;
  l.parts = parts_of(l.g);
  if (!l.products.has(l.device.stream(), operands(l))) l.parts = 0;
}

/// Where the library has products of both depths: of slices, and of the last one.
void choose_slices(LibraryProduct& l) {
  const std::int64_t depth = l.g.depth;
  if (depth <= kSliceDepth || l.parts > 1) return;
  const std::int64_t count = (depth + kSliceDepth - 1) / kSliceDepth;
  const std::int64_t slice =
      ((depth + count - 1) / count + kSliceStep - 1) / kSliceStep * kSliceStep;
  LtProduct p = operands(l);
  for (const std::int64_t part : {slice, last_of(depth, slice)}) {
    p.depth = part;
    if (!l.products.has(l.device.stream(), p)) return;
  }
  l.slice = slice;
}

void choose_epilogue(LibraryProduct& l) {
  const Gemm& g = l.g;
  const bool alone = g.scale == 1.0f && g.initial == nullptr && g.plain == nullptr;
  if (!alone || l.parts > 1) return;
  LtProduct p = operands(l);
  p.depth = l.last_depth();
  if (g.bias == nullptr && g.narrow != nullptr && l.one_product() &&
      g.columns % kElementsOf16Bytes == 0) {
    p.type = DType::bf16;
    l.rounds = l.products.has(l.device.stream(), p);
  } else if (g.bias != nullptr && g.narrow == nullptr && aligned_to(16, g.bias)) {
    p.bias = g.bias;
    l.adds_bias = l.products.has(l.device.stream(), p);
  }
}

/// Where the library may write a product's sums itself; `to` is null where it may not.
Sums direct_sums(const LibraryProduct& l) {
  const Gemm& g = l.g;
  Sums sums{g.c, g.initial};
  if (g.plain != nullptr) sums = {g.plain, nullptr};
  if (g.narrow != nullptr) sums = {g.narrow, nullptr};
  // Several terms are summed before anything else is added.
  const bool adds = sums.add == nullptr || (l.one_product() && aligned_to(16, sums.add));
  if (!l.as_they_are() || !adds || g.c_stride != g.columns || !aligned_to(16, sums.to)) {
    sums.to = nullptr;
  }
  return sums;
}

/// Sums of one term of the rows and one of the weight, on top of p.add, and the bias with the last.
bool multiply_slices(const LibraryProduct& l, LtProduct p, const float* bias) {
  const std::int64_t slice = l.slice > 0 ? l.slice : l.g.depth;
  const auto* const a = static_cast<const std::uint16_t*>(p.a);
  const auto* const b = static_cast<const std::uint16_t*>(p.b);
  for (std::int64_t begin = 0; begin < l.g.depth; begin += slice) {
    p.depth = std::min(slice, l.g.depth - begin);
    p.a = a + begin;
    p.b = b + begin * (p.by_depth ? p.b_stride : 1);
    if (begin + slice >= l.g.depth) p.bias = bias;
    if (!l.products.multiply(l.device.stream(), p)) return false;
    p.add = static_cast<const float*>(p.c);
  }
  return true;
}

/// Of `tiles` tiles from row `begin` on. False where the library cannot.
bool multiply_terms(const LibraryProduct& l, std::int64_t begin, std::int64_t tiles,
                    const Sums& sums) {
  LtProduct p = operands(l);
  p.tiles = tiles;
  p.c = sums.to;
  p.add = sums.add;
  for (int sum = last_sum(l.a.terms, l.g.b.terms); sum >= 0; --sum) {
    for (int i = 0; i < l.a.terms; ++i) {
      const int j = sum - i;
      if (j < 0 || j >= l.g.b.terms) continue;
      p.a = l.a.data + i * l.a.term_stride + begin * l.a.stride;
      p.b = l.g.b.data + j * l.g.b.term_stride;
      const bool done = sum == 0 ? multiply_slices(l, p, l.adds_bias ? l.g.bias : nullptr)
                                 : l.products.multiply(l.device.stream(), p);
      if (!done) return false;
      p.add = static_cast<const float*>(p.c);
    }
  }
  return true;
}

}  // namespace

bool library_gemm(OpDevice& device, Precision precision, const Gemm& g) {
  LtProducts* const products = suits(g) ? device.products() : nullptr;
  if (products == nullptr) return false;
  const TermRows a = rows_as_terms(device, precision, g);
  LibraryProduct l{device, *products, g, a};
  choose_parts(l);
  if (precision == Precision::exact) choose_slices(l);
  choose_epilogue(l);
  const std::int64_t whole = g.rows / kLtTileRows;
  const std::int64_t tiles = (g.rows + kLtTileRows - 1) / kLtTileRows;
  const Sums direct = direct_sums(l);
  const bool pays = whole == tiles || whole >= kDirectTiles;
  const std::int64_t in_place = direct.to != nullptr && pays ? whole : 0;
  const std::int64_t begin = in_place * kLtTileRows;
  if (in_place > 0) {
    if (!multiply_terms(l, 0, in_place, direct)) return false;
    if (g.plain != nullptr) finish_product(device, g, 0, begin, l.sums(g.plain, in_place));
  }
  if (in_place == tiles) return true;
  const std::int64_t left = tiles - in_place;
  ProductSums sums = l.sums(nullptr, left);
  void* const room = device.scratch(ScratchSlot::product_sums,
                                    sums.parts * sums.part_stride * dtype_bytes(l.type()));
  sums.data = room;
  if (!multiply_terms(l, begin, left, {room, nullptr})) return false;
  finish_product(device, g, begin, g.rows, sums);
  return true;
}

}  // namespace headspark::cuda
