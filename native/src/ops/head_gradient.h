// The projection's backward of one head of head_input_backward, as all backends run it.
#pragma once

#include "headspark/ops/head_input.h"

namespace headspark {

/// The first row of W that a head reads.
inline std::int64_t first_row(const HeadInputBackward& p,
                              const HeadInputBackward::Projection& projection, std::int64_t head) {
  return head / projection.share * p.head_dim;
}

/// d_x [rows, in] = d_h W_h, for rows of all heads' gradients `d`, as of Projection::d.
inline LinearBackward head_gradient(const HeadInputBackward& p,
                                    const HeadInputBackward::Projection& projection,
                                    std::int64_t head, std::int64_t rows, const float* d,
                                    float* d_x) {
  LinearBackward linear;
  linear.weight = projection.weight;
  linear.slice.out_begin = first_row(p, projection, head);
  linear.slice.out_end = linear.slice.out_begin + p.head_dim;
  linear.tokens = rows;
  linear.d_y = d + head * p.head_dim;
  linear.d_y_stride = projection.width(p.head_dim);
  linear.d_x = d_x;
  linear.d_x_stride = p.in();
  return linear;
}

}  // namespace headspark
