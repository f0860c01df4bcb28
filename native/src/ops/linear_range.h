// The outputs and inputs that a LinearSlice names, checked against the layer.
#pragma once

#include "headspark/ops/linear.h"
#include "ops/check.h"

namespace headspark {

struct LinearRange {
  std::int64_t out_begin = 0;
  std::int64_t out_end = 0;
  std::int64_t in_begin = 0;
  std::int64_t in_end = 0;

  std::int64_t out() const { return out_end - out_begin; }
  std::int64_t in() const { return in_end - in_begin; }
};

inline LinearRange linear_range(const LinearWeight& weight, const LinearSlice& slice,
                                const char* op) {
  LinearRange range{slice.out_begin, slice.out_end < 0 ? weight.out() : slice.out_end,
                    slice.in_begin, slice.in_end < 0 ? weight.in() : slice.in_end};
  check_argument(
      range.out_begin >= 0 && range.out_begin <= range.out_end && range.out_end <= weight.out(), op,
      "slice.out_begin..out_end is not a range of the layer's outputs");
  check_argument(
      range.in_begin >= 0 && range.in_begin <= range.in_end && range.in_end <= weight.in(), op,
      "slice.in_begin..in_end is not a range of the layer's inputs");
  return range;
}

/// The arguments of linear_forward.
LinearRange check_linear_forward(const Context& context, const LinearForward& params,
                                 const char* op);

}  // namespace headspark
