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

// Without scale, bias and initial this is a copy, and with initial alone what the library's own
// epilogue does: a row's bits do not depend on who wrote it.
HEADSPARK_DEVICE void finish_one(const Finish& p, std::int64_t i) {
  const std::int64_t row = i / p.columns;
  const std::int64_t column = i - row * p.columns;
  const std::int64_t at = row * p.c_stride + column;
  float product = stored_value(p.sums.data, p.sums.type, i);
  for (std::int64_t part = 1; part < p.sums.parts; ++part) {
    product += stored_value(p.sums.data, p.sums.type, part * p.sums.part_stride + i);
  }
  float value = p.scale * product;
  if (p.bias != nullptr) value = multiply_add(p.scale, product, p.bias[column]);
  if (p.narrow != nullptr) {
    p.narrow[at] = float_to_bf16(value).bits;
    return;
  }
  if (p.plain != nullptr) p.plain[at] = value;
  if (p.initial != nullptr) value = value + p.initial[at];
  p.c[at] = value;
}

HEADSPARK_DEVICE Four sum(const Four& a, const Four& b) {
  return {a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w};
}

/// finish_one of elements i, a multiple of 4, to i + 3 of a row, with the same bits.
HEADSPARK_DEVICE void finish_four(const Finish& p, std::int64_t i) {
  const std::int64_t row = i / p.columns;
  const std::int64_t column = i - row * p.columns;
  const std::int64_t at = row * p.c_stride + column;
  const auto* const sums = static_cast<const float*>(p.sums.data) + i;
  Four value = read_four(sums);
  for (std::int64_t part = 1; part < p.sums.parts; ++part) {
    value = sum(value, read_four(sums + part * p.sums.part_stride));
  }
  if (p.bias != nullptr) {
    const Four bias = load_four(p.bias + column);
    value = {multiply_add(p.scale, value.x, bias.x), multiply_add(p.scale, value.y, bias.y),
             multiply_add(p.scale, value.z, bias.z), multiply_add(p.scale, value.w, bias.w)};
  } else {
    value = {p.scale * value.x, p.scale * value.y, p.scale * value.z, p.scale * value.w};
  }
  if (p.narrow != nullptr) {
    return store_two(
        reinterpret_cast<float*>(p.narrow + at),
        {bits_to_float(pack_bf16(value.x, value.y)), bits_to_float(pack_bf16(value.z, value.w))});
  }
  if (p.plain != nullptr) store_four(p.plain + at, value);
  if (p.initial != nullptr) value = sum(value, read_four(p.initial + at));
  store_four(p.c + at, value);
}

template <int Width>
HEADSPARK_KERNEL(kElementThreads)
finish_kernel(Finish p) {
  const std::int64_t i = element_index() * Width;
  if (i >= p.rows * p.columns) return;
  if constexpr (Width == 4) {
    finish_four(p, i);
  } else {
    finish_one(p, i);
  }
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
