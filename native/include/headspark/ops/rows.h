// Row-wise data movement and element-wise sums that the engine needs between the big ops.
#pragma once

#include <cstdint>

#include "headspark/context.h"
#include "headspark/dtype.h"

namespace headspark {

/// y[i, :] = x[index[i], :] for i < count; rows are `width` floats.
void gather_rows(const Context& context, std::int64_t count, std::int64_t width,
                 const std::int32_t* index, const float* x, float* y);

/// y[index[i], :] += x[i, :]; the indexes are distinct.
void scatter_add_rows(const Context& context, std::int64_t count, std::int64_t width,
                      const std::int32_t* index, const float* x, float* y);

/// y = a * x + b * base, element-wise; base is y itself unless given; b = 0 never reads it.
struct Combine {
  std::int64_t count = 0;
  float a = 1.0f;
  const float* x = nullptr;
  float b = 1.0f;
  float* y = nullptr;
  const float* base = nullptr;
  DType type = DType::f32;  ///< of y; on a GPU also bf16 in the room of floats, never read
};
void combine(const Context& context, const Combine& params);

/// y[i, :] = alpha[i] * from_clean[i, :] + (1 - alpha[i]) * from_corrupted[i, :]: the points of the
/// integrated-gradient path. alpha is per row of `width` floats.
struct Interpolate {
  std::int64_t rows = 0;
  std::int64_t width = 0;
  const float* alpha = nullptr;  ///< [rows]
  const float* clean = nullptr;
  const float* corrupted = nullptr;
  float* y = nullptr;
};
void interpolate(const Context& context, const Interpolate& params);

/// y[g, i] = sum over s < steps, in order, of x[g * steps + s, i]; each x block is `block` floats.
/// With add_to_y the sum is added to y.
struct SumBlocks {
  std::int64_t groups = 0;
  std::int64_t steps = 0;
  std::int64_t block = 0;
  const float* x = nullptr;
  float* y = nullptr;
  bool add_to_y = false;
  DType type = DType::f32;  ///< of y; on a GPU also bf16 in the room of floats, not added to
};
void sum_blocks(const Context& context, const SumBlocks& params);

/// sums[slot, :] += x[t, :] for every row t in order, in double: whatever calls rows are cut into,
/// the sums have the same bits, on every device.
struct SumRows {
  std::int64_t rows = 0;
  std::int64_t width = 0;
  const std::int32_t* slots = nullptr;  ///< [rows], each below slot_count; null: all rows go to 0
  std::int64_t slot_count = 1;
  const float* x = nullptr;  ///< [rows, width]
  double* sums = nullptr;    ///< [slot_count, width]
};
void sum_rows(const Context& context, const SumRows& params);

/// norms[i] = |x[index[i], :]|, the Euclidean norm, in double.
struct RowNorms {
  std::int64_t rows = 0;
  std::int64_t width = 0;
  const std::int32_t* index = nullptr;  ///< [rows]; null: x's first rows
  const float* x = nullptr;             ///< rows of `width` floats
  double* norms = nullptr;              ///< [rows]
};
void row_norms(const Context& context, const RowNorms& params);

}  // namespace headspark
