// y = x Wᵀ + b for a block of tokens, and its gradient with respect to x. Weights never get one.
#pragma once

#include <cstdint>
#include <span>

#include "headspark/context.h"
#include "headspark/gradient_mode.h"
#include "headspark/weight.h"

namespace headspark {

/// A range of outputs and inputs of a layer; end < 0 means all. One head of a projection is a
/// range of outputs (q, k, v) or of inputs (output projection).
struct LinearSlice {
  std::int64_t out_begin = 0;
  std::int64_t out_end = -1;
  std::int64_t in_begin = 0;
  std::int64_t in_end = -1;
};

struct LinearForward {
  const LinearWeight* weight = nullptr;
  LinearSlice slice;
  std::int64_t tokens = 0;
  const float* x = nullptr;  ///< [tokens, in of the slice], stride x_stride
  std::int64_t x_stride = 0;
  float* y = nullptr;  ///< [tokens, out of the slice], stride y_stride
  std::int64_t y_stride = 0;
  bool with_bias = true;
  const float* residual = nullptr;  ///< stride y_stride, added to the product; may be y itself
  /// Of y: f32, or in `fast` on a GPU bf16 in the room of floats, without residual and gaps.
  DType type = DType::f32;
};

struct LinearBackward {
  const LinearWeight* weight = nullptr;
  LinearSlice slice;
  std::int64_t tokens = 0;
  const float* d_y = nullptr;  ///< [tokens, out of the slice], stride d_y_stride
  std::int64_t d_y_stride = 0;
  float* d_x = nullptr;  ///< [tokens, in of the slice], stride d_x_stride
  std::int64_t d_x_stride = 0;
  GradientMode mode = GradientMode::overwrite;
};

/// All of a layer on rows without gaps.
inline LinearForward whole_layer(const LinearWeight& weight, std::int64_t tokens, const float* x,
                                 float* y) {
  LinearForward params;
  params.weight = &weight;
  params.tokens = tokens;
  params.x = x;
  params.x_stride = weight.in();
  params.y = y;
  params.y_stride = weight.out();
  return params;
}
inline LinearBackward whole_layer_gradient(const LinearWeight& weight, std::int64_t tokens,
                                           const float* d_y, float* d_x) {
  LinearBackward params;
  params.weight = &weight;
  params.tokens = tokens;
  params.d_y = d_y;
  params.d_y_stride = weight.out();
  params.d_x = d_x;
  params.d_x_stride = weight.in();
  return params;
}

void linear_forward(const Context& context, const LinearForward& params);
/// Layers that read the same rows (x, x_stride, tokens and the slices' inputs): as one after the
/// other, but the CPU reads the rows once and all weights in one parallel loop.
void linear_forward_all(const Context& context, std::span<const LinearForward> layers);
void linear_backward(const Context& context, const LinearBackward& params);

}  // namespace headspark
