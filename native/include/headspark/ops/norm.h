// RMSNorm (arXiv 1910.07467) and LayerNorm (arXiv 1607.06450) over the last axis. The backward is
// the full Jacobian at x: nothing is frozen. Also used for the norms of q and k.
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/context.h"
#include "headspark/gradient_mode.h"

namespace headspark {

enum class NormKind {
  rms,
  layer,
  fixed,  ///< y = x weight + bias: the place of a norm that a model does not have
};

struct NormWeight {
  NormKind kind = NormKind::rms;
  std::vector<float> weight;  ///< [width]
  std::vector<float> bias;    ///< [width] or empty
  float epsilon = 1e-6f;

  bool empty() const { return weight.empty(); }
};

struct NormForward {
  const NormWeight* norm = nullptr;
  std::int64_t rows = 0;
  const float* x = nullptr;  ///< [rows, width], stride x_stride
  std::int64_t x_stride = 0;
  float* y = nullptr;  ///< [rows, width], stride y_stride; may be x
  std::int64_t y_stride = 0;
};

/// Of rows as wide as the norm, one after the other; y may be x.
inline NormForward whole_rows(const NormWeight& norm, std::int64_t rows, const float* x, float* y) {
  const auto width = static_cast<std::int64_t>(norm.weight.size());
  return {.norm = &norm, .rows = rows, .x = x, .x_stride = width, .y = y, .y_stride = width};
}

struct NormBackward {
  const NormWeight* norm = nullptr;
  std::int64_t rows = 0;
  const float* x = nullptr;  ///< [rows, width], the forward input
  std::int64_t x_stride = 0;
  const float* d_y = nullptr;  ///< [rows, width]
  std::int64_t d_y_stride = 0;
  float* d_x = nullptr;  ///< [rows, width]; may be d_y
  std::int64_t d_x_stride = 0;
  GradientMode mode = GradientMode::overwrite;
};

/// What the parts of the input of an RMSNorm, or of a fixed one, have of its output: where x = sum
/// over parts of W_i z_i, norm(x) = sum of weight * (W_i y_i).
struct NormScale {
  const NormWeight* norm = nullptr;
  std::int64_t rows = 0;
  const float* x = nullptr;  ///< [rows, width]
  const float* z = nullptr;  ///< [rows, parts_width]
  std::int64_t parts_width = 0;
  float* y = nullptr;  ///< [rows, parts_width], z / rms(x) or z; may be z
};

void norm_forward(const Context& context, const NormForward& params);
void norm_backward(const Context& context, const NormBackward& params);
void norm_scale(const Context& context, const NormScale& params);

}  // namespace headspark
