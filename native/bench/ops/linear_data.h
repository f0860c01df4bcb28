// Operands of a linear layer with random weights; also used by the program that answers
// scripts/bench/compare.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "common/measure.h"
#include "common/on_device.h"
#include "headspark/ops/linear.h"

namespace headspark::bench {

struct LinearShape {
  std::int64_t tokens = 0;
  std::int64_t out = 0;
  std::int64_t in = 0;
  DType dtype = DType::bf16;

  double flops() const { return 2.0 * static_cast<double>(tokens * out) * static_cast<double>(in); }
  std::string name() const {
    return std::to_string(tokens) + "x" + std::to_string(out) + "x" + std::to_string(in);
  }
};

struct LinearData {
  LinearShape shape;
  std::vector<float> f32, x;
  std::vector<std::uint16_t> bf16;
  LinearWeight weight;
  Buffer<float> x_there, y;  // on the device; wide enough for both directions

  LinearData(const Context& context, const LinearShape& s) : shape(s), f32(noise(s.out * s.in)) {
    for (const float value : f32) bf16.push_back(f32_to_bf16(value));
    const bool narrow = s.dtype == DType::bf16;
    weight = make_linear_weight(contiguous_view(
        narrow ? static_cast<const void*>(bf16.data()) : f32.data(), s.dtype, s.out, s.in));
    if (narrow) f32 = {};
    x = noise(s.tokens * std::max(s.in, s.out));
    x_there = to_device(context, x);
    y = floats(context, x_there.size());
  }
  LinearData(const LinearData&) = delete;
  LinearData& operator=(const LinearData&) = delete;

  LinearForward forward() { return whole_layer(weight, shape.tokens, x_there.data(), y.data()); }
  LinearBackward backward() {
    return whole_layer_gradient(weight, shape.tokens, x_there.data(), y.data());
  }
};

}  // namespace headspark::bench
