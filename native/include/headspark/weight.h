// Weights as they lie in the memory-mapped checkpoint, and the packed forms kernels want.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "headspark/dtype.h"
#include "headspark/isa.h"

namespace headspark {

/// The bf16 terms of each value of a matrix, which products on a device multiply: one in fast, else
/// as many as hold all bits of the stored type.
constexpr int product_terms(DType stored, Precision precision) {
  if (precision == Precision::fast || stored == DType::bf16) return 1;
  return stored == DType::f16 ? 2 : 3;
}

/// A matrix [rows, cols] = [out, in] inside a mapped file, read in place. Row r starts at element
/// (r / row_group) * group_stride + (r % row_group) * row_stride, so that GPT-2's transposed and
/// GPT-NeoX's interleaved query_key_value weights need no copy.
struct WeightView {
  const void* data = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t row_stride = 0;
  std::int64_t col_stride = 1;
  std::int64_t row_group = 1;
  std::int64_t group_stride = 0;
  /// Whoever keeps `data` alive: devices copy a matrix once for as long as this lives, and would
  /// otherwise take another file mapped at the same address for it. Empty: copied at each use.
  std::weak_ptr<const void> owner = {};

  std::int64_t offset(std::int64_t row, std::int64_t col) const {
    return (row / row_group) * group_stride + (row % row_group) * row_stride + col * col_stride;
  }
  float at(std::int64_t row, std::int64_t col) const {
    const std::int64_t index = offset(row, col);
    switch (dtype) {
      case DType::f32:
        return static_cast<const float*>(data)[index];
      case DType::f16:
        return f16_to_f32(static_cast<const std::uint16_t*>(data)[index]);
      default:
        return bf16_to_f32(static_cast<const std::uint16_t*>(data)[index]);
    }
  }
};

/// A plain row-major view: row r starts at r * cols.
WeightView contiguous_view(const void* data, DType dtype, std::int64_t rows, std::int64_t cols);

class PackedWeights;  // the kernels' own copies of one matrix, made once on first use (src/cpu)

/// A factor of a low-rank term: a matrix without gaps, bf16 where that holds all of its values,
/// fp32 otherwise. Never changes.
struct LowRankFactor {
  WeightView view;  ///< its owner is `values`
  std::shared_ptr<const void> values;
  std::shared_ptr<PackedWeights> packed;  ///< never null after make_low_rank

  float at(std::int64_t row, std::int64_t col) const { return view.at(row, col); }
  std::int64_t count() const { return view.rows * view.cols; }
};

/// A low-rank update of a linear layer (LoRA): W + scale * B A, kept apart from W.
struct LowRank {
  std::int64_t rank = 0;
  float scale = 0.0f;
  LowRankFactor a;  ///< [rank, in]
  LowRankFactor b;  ///< [out, rank]
};

/// `a` is [rank, in], `b` [out, rank]. Error(INVALID_ARGUMENT) where neither can be.
std::shared_ptr<const LowRank> make_low_rank(std::int64_t rank, float scale, std::vector<float> a,
                                             std::vector<float> b);
/// bf16 numbers that a device holds each value of the factors as, for products: one, or in exact
/// the three that hold all bits of fp32 where a factor is no bf16.
int factor_terms(const LowRank& low, Precision precision);
/// Ranks that a device holds of a factor in one of those numbers: whole pieces of 16 bytes, the
/// last ones zero.
constexpr std::int64_t device_rank(std::int64_t rank) {
  return (rank + 7) / 8 * 8;
}
/// Depths of one tile of a device's products.
inline constexpr std::int64_t kDeviceTileDepth = 32;
/// In all of them: whole tiles, the last ones zero.
std::int64_t device_ranks(const LowRank& low, Precision precision);
/// All values of a factor, row by row.
std::vector<float> factor_values(const LowRankFactor& factor);

/// One linear layer: y = x Wᵀ + bias (+ scale * (x Aᵀ) Bᵀ). Copies share the packed forms, so a
/// series of adapters shares its base.
struct LinearWeight {
  WeightView view;
  std::vector<float> bias;  ///< [out] or empty
  std::shared_ptr<const LowRank> low_rank;
  std::shared_ptr<PackedWeights> packed;  ///< never null after make_linear_weight

  std::int64_t out() const { return view.rows; }
  std::int64_t in() const { return view.cols; }
  bool empty() const { return view.data == nullptr; }
};

LinearWeight make_linear_weight(const WeightView& view, std::vector<float> bias = {});

/// The low-rank term of a layer; null where it adds nothing.
inline const LowRank* low_rank_of(const LinearWeight& weight) {
  const LowRank* low = weight.low_rank.get();
  return low != nullptr && low->rank > 0 ? low : nullptr;
}

}  // namespace headspark
