// A thread per element.
#include <algorithm>

#include "cuda/elements.h"
#include "cuda/product_sums.h"
#include "cuda/stored_value.h"

namespace headspark::cuda {
namespace {

// Blocks of a device, for two tiles of rows; smaller devices take as many parts, or the bits would
// depend on the device.
constexpr std::int64_t kDecodeBlocks = 128;
constexpr std::int64_t kRowTiles = 2;
constexpr std::int64_t kTileColumns = 128;
// Shorter parts cost more in sums than they save.
constexpr std::int64_t kLeastPartDepth = 1024;
constexpr std::int64_t kPartStep = 64;  // whole tiles of depth, whoever multiplies

struct Finish {
  ProductSums sums;
  std::int64_t rows;
  std::int64_t columns;
  float scale;
  const float* bias;
  const float* initial;
  float* plain;
  float* c;
  std::uint16_t* narrow;
  std::int64_t c_stride;
};

HEADSPARK_DEVICE float whole_product(const ProductSums& sums, std::int64_t i) {
  float product = stored_value(sums.data, sums.type, i);
  for (std::int64_t part = 1; part < sums.parts; ++part) {
    product += stored_value(sums.data, sums.type, part * sums.part_stride + i);
  }
  return product;
}

// Without scale, bias and initial this is a copy, and with initial alone what the library's own
// epilogue does: a row's bits do not depend on who wrote it.
HEADSPARK_KERNEL(kElementThreads) finish_kernel(Finish p) {
  const std::int64_t i = element_index();
  if (i >= p.rows * p.columns) return;
  const std::int64_t at = i / p.columns * p.c_stride + i % p.columns;
  const float product = whole_product(p.sums, i);
  float value = p.scale * product;
  if (p.bias != nullptr) value = multiply_add(p.scale, product, p.bias[i % p.columns]);
  if (p.narrow != nullptr) {
    p.narrow[at] = float_to_bf16(value).bits;
    return;
  }
  if (p.plain != nullptr) p.plain[at] = value;
  if (p.initial != nullptr) value = value + p.initial[at];
  p.c[at] = value;
}

}  // namespace

void finish_product(OpDevice& device, const Gemm& g, std::int64_t begin, std::int64_t end,
                    const ProductSums& sums) {
  if (begin == end) return;
  const auto row = [&](auto* p) { return p != nullptr ? p + begin * g.c_stride : nullptr; };
  float* const plain = g.plain != sums.data ? row(g.plain) : nullptr;
  launch(device.stream(), element_shape((end - begin) * g.columns), &finish_kernel,
         Finish{sums, end - begin, g.columns, g.scale, sums.biased ? nullptr : g.bias,
                row(g.initial), plain, row(g.c), row(g.narrow), g.c_stride});
}

std::int64_t parts_of(const Gemm& g) {
  if (!g.decoding || g.b.by_depth) return 1;
  const std::int64_t tiles = kRowTiles * ((g.columns + kTileColumns - 1) / kTileColumns);
  std::int64_t parts = std::min(kDecodeBlocks / tiles, g.depth / kLeastPartDepth);
  while (parts > 1 && g.depth % (parts * kPartStep) != 0) --parts;
  return std::max<std::int64_t>(1, parts);
}

}  // namespace headspark::cuda
