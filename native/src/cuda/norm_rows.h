// One row of RMSNorm or LayerNorm by the threads of a warp or a block. Formulas: norm_cpu.cc.
#pragma once

#include "cuda/op_device.h"
#include "cuda/reduce.h"
#include "headspark/ops/norm.h"

namespace headspark::cuda {

/// Rows up to this wide (per-head norms) take a warp, wider ones a block.
constexpr std::int64_t kWarpWidth = 256;
constexpr int kNormThreads = 256;

struct NormConstants {
  NormKind kind;
  const float* weight;  ///< [width] on the device
  const float* bias;    ///< or null
  float epsilon;
  std::int64_t width;
};

inline NormConstants norm_constants(OpDevice& device, const NormWeight& norm) {
  return {norm.kind, device.constant_floats(norm.weight), device.constant_floats(norm.bias),
          norm.epsilon, static_cast<std::int64_t>(norm.weight.size())};
}

/// Threads that share one row: all of the block, or one warp of it.
template <bool Wide>
struct RowTeam {
  SharedArray<float> partial;

  HEADSPARK_DEVICE int first() const { return Wide ? thread_index() : lane_index(); }
  HEADSPARK_DEVICE int step() const { return Wide ? kNormThreads : 32; }
  HEADSPARK_DEVICE float sum(float value) const {
    if constexpr (Wide) {
      return block_sum(partial, kNormThreads, value);
    } else {
      return warp_sum(value);
    }
  }
  HEADSPARK_DEVICE static std::int64_t row() {
    if constexpr (Wide) {
      return block_x();
    } else {
      return static_cast<std::int64_t>(block_x()) * (kNormThreads / 32) + warp_index();
    }
  }
};

/// body(i, load(i)) for the elements of this thread, in order; what four of them load is under way
/// at once.
template <typename Team, typename Load, typename Body>
HEADSPARK_DEVICE void for_own_elements(const Team& team, std::int64_t width, const Load& load,
                                       const Body& body) {
  constexpr int kAtOnce = 4;
  const int step = team.step();
  for (std::int64_t begin = team.first(); begin < width; begin += kAtOnce * step) {
    decltype(load(begin)) loaded[kAtOnce] = {};
    HEADSPARK_UNROLL
    for (int j = 0; j < kAtOnce; ++j) {
      if (begin + j * step < width) loaded[j] = load(begin + j * step);
    }
    HEADSPARK_UNROLL
    for (int j = 0; j < kAtOnce; ++j) {
      if (begin + j * step < width) body(begin + j * step, loaded[j]);
    }
  }
}

struct Moments {
  float mean;
  float rstd;
};

template <typename Team>
HEADSPARK_DEVICE Moments moments(const NormConstants& n, const Team& team, const float* x) {
  const float width = static_cast<float>(n.width);
  const auto load = [&](std::int64_t i) { return x[i]; };
  Moments m{0.0f, 1.0f};
  if (n.kind == NormKind::fixed) return m;
  if (n.kind == NormKind::layer) {
    float sum = 0.0f;
    for_own_elements(team, n.width, load, [&](std::int64_t, float value) { sum += value; });
    m.mean = team.sum(sum) / width;
  }
  float square = 0.0f;
  for_own_elements(team, n.width, load, [&](std::int64_t, float value) {
    const float centred = value - m.mean;
    square = multiply_add(centred, centred, square);
  });
  m.rstd = 1.0f / square_root(team.sum(square) / width + n.epsilon);
  return m;
}

HEADSPARK_DEVICE float normed_value(const NormConstants& n, const Moments& m, const float* x,
                                    std::int64_t i) {
  const float bias = n.bias != nullptr ? n.bias[i] : 0.0f;
  return multiply_add((x[i] - m.mean) * m.rstd, n.weight[i], bias);
}

struct NormBackwardRow {
  const float* x;
  const float* d_y;
  float* d_x;
  bool accumulate;
  float* sum = nullptr;  ///< d_x is added to it as well; or null
};

template <typename Team>
HEADSPARK_DEVICE void norm_backward_row(const NormConstants& n, const Team& team,
                                        const NormBackwardRow& row) {
  const float width = static_cast<float>(n.width);
  const Moments m = moments(n, team, row.x);
  // forward: y = n w + b, n = (x - mean) rstd
  struct Element {
    float x;
    float d_y;
    float weight;
    HEADSPARK_DEVICE float g() const { return d_y * weight; }
    HEADSPARK_DEVICE float normed(const Moments& m) const { return (x - m.mean) * m.rstd; }
  };
  const auto load = [&](std::int64_t i) { return Element{row.x[i], row.d_y[i], n.weight[i]}; };
  float sum_g = 0.0f;
  float sum_gn = 0.0f;
  for_own_elements(team, n.width, load, [&](std::int64_t, const Element& e) {
    sum_g += e.g();
    sum_gn = multiply_add(e.g(), e.normed(m), sum_gn);
  });
  const float mean_g = n.kind == NormKind::layer ? team.sum(sum_g) / width : 0.0f;
  const float mean_gn = n.kind == NormKind::fixed ? 0.0f : team.sum(sum_gn) / width;
  for_own_elements(team, n.width, load, [&](std::int64_t i, const Element& e) {
    const float d_x = rounded_product(m.rstd, e.g() - mean_g - e.normed(m) * mean_gn);
    const float value = row.accumulate ? row.d_x[i] + d_x : d_x;
    row.d_x[i] = value;
    if (row.sum != nullptr) row.sum[i] += value;
  });
}

/// Blocks for `rows` rows; both kernels of a pair (wide, narrow) start with it.
inline LaunchShape norm_shape(std::int64_t width, std::int64_t rows) {
  const bool wide = width > kWarpWidth;
  return {{blocks_for(rows, wide ? 1 : kNormThreads / 32)},
          kNormThreads,
          wide ? kNormThreads / 32 * static_cast<int>(sizeof(float)) : 0};
}

template <bool Wide>
HEADSPARK_DEVICE RowTeam<Wide> row_team() {
  SharedMemory memory;
  return {memory.take<float>(Wide ? kNormThreads / 32 : 0)};
}

}  // namespace headspark::cuda
