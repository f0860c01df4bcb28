// A thread per four elements, or per element where rows do not allow 16 bytes at once.
#include <algorithm>

#include "cuda/alignment.h"
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

template <int Width>
HEADSPARK_DEVICE Elements<Width> read_sums(const ProductSums& sums, std::int64_t at) {
  if constexpr (Width == 1) {
    return {{stored_value(sums.data, sums.type, at)}};
  } else {
    return read_elements<Width>(static_cast<const float*>(sums.data) + at);
  }
}

template <int Width>
HEADSPARK_DEVICE void add_to(Elements<Width>& sum, const Elements<Width>& value) {
  HEADSPARK_UNROLL
  for (int j = 0; j < Width; ++j) sum.v[j] += value.v[j];
}

// Without scale, bias and initial this is a copy, and with initial alone what the library's own
// epilogue does: a row's bits do not depend on who wrote it.
template <int Width>
HEADSPARK_KERNEL(kElementThreads)
finish_kernel(Finish p) {
  const std::int64_t i = element_index() * Width;
  if (i >= p.rows * p.columns) return;
  const std::int64_t row = i / p.columns;
  const std::int64_t column = i - row * p.columns;
  const std::int64_t at = row * p.c_stride + column;
  Elements<Width> value = read_sums<Width>(p.sums, i);
  for (std::int64_t part = 1; part < p.sums.parts; ++part) {
    add_to(value, read_sums<Width>(p.sums, part * p.sums.part_stride + i));
  }
  if (p.bias != nullptr) {
    const Elements<Width> bias = load_elements<Width>(p.bias + column);
    HEADSPARK_UNROLL
    for (int j = 0; j < Width; ++j) value.v[j] = multiply_add(p.scale, value.v[j], bias.v[j]);
  } else {
    HEADSPARK_UNROLL
    for (int j = 0; j < Width; ++j) value.v[j] = p.scale * value.v[j];
  }
  if (p.narrow != nullptr) return store_rounded(p.narrow + at, value);
  if (p.plain != nullptr) store_elements(p.plain + at, value);
  if (p.initial != nullptr) add_to(value, read_elements<Width>(p.initial + at));
  store_elements(p.c + at, value);
}

bool takes_four(const Finish& p) {
  return p.sums.type == DType::f32 && p.columns % 4 == 0 && p.c_stride % 4 == 0 &&
         p.sums.part_stride % 4 == 0 && aligned_to(16, p.sums.data) && aligned_to(16, p.bias) &&
         aligned_to(16, p.initial) && aligned_to(16, p.plain) && aligned_to(16, p.c) &&
         aligned_to(8, p.narrow);
}

}  // namespace

void finish_product(OpDevice& device, const Gemm& g, std::int64_t begin, std::int64_t end,
                    const ProductSums& sums) {
  if (begin == end) return;
  const auto row = [&](auto* p) { return p != nullptr ? p + begin * g.c_stride : nullptr; };
  float* const plain = g.plain != sums.data ? row(g.plain) : nullptr;
  const Finish finish{
      sums,           end - begin, g.columns, g.scale,       sums.biased ? nullptr : g.bias,
      row(g.initial), plain,       row(g.c),  row(g.narrow), g.c_stride};
  const std::int64_t count = finish.rows * finish.columns;
  if (takes_four(finish)) {
    launch(device.stream(), element_shape(count / 4), &finish_kernel<4>, finish);
  } else {
    launch(device.stream(), element_shape(count), &finish_kernel<1>, finish);
  }
}

std::int64_t parts_of(const Gemm& g) {
  if (!g.decoding || g.b.by_depth) return 1;
  const std::int64_t tiles = kRowTiles * ((g.columns + kTileColumns - 1) / kTileColumns);
  std::int64_t parts = std::min(kDecodeBlocks / tiles, g.depth / kLeastPartDepth);
  while (parts > 1 && g.depth % (parts * kPartStep) != 0) --parts;
  return std::max<std::int64_t>(1, parts);
}

}  // namespace headspark::cuda
