// A product with all that may be added to it, what it is, and a device for it alone.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "cuda/gemm.h"
#include "headspark/dtype.h"
#include "op_suite.h"

namespace headspark::test {

/// Products of its own, on the emulated device. Scratch memory is exactly as large as asked for, so
/// that AddressSanitizer sees what is read past it, and holds NaN.
class GemmDevice : public cuda::OpDevice {
 public:
  cuda::Stream stream() override { return nullptr; }
  cuda::DeviceTerms terms(const LinearWeight&, Precision) override { return {}; }
  cuda::DeviceMatrix matrix(const LinearWeight&) override { return {}; }
  cuda::DeviceMatrix table(const WeightView&) override { return {}; }
  cuda::DeviceMatrix bf16_table(const WeightView&, const cuda::Bf16Form&,
                                const std::function<void(std::uint16_t*)>&) override {
    return {};
  }
  const void* constant(const void* host, std::int64_t) override { return host; }
  void* scratch(cuda::ScratchSlot slot, std::int64_t bytes) override {
    auto& memory = scratch_[slot];
    memory.reset(new std::byte[static_cast<std::size_t>(bytes)]);
    std::memset(memory.get(), 0xff, static_cast<std::size_t>(bytes));
    return memory.get();
  }

 private:
  std::map<cuda::ScratchSlot, std::unique_ptr<std::byte[]>> scratch_;
};

struct GemmProblem {
  std::int64_t rows, columns, depth;
  bool by_depth;
  std::vector<float> a, initial, bias;
  std::vector<std::uint16_t> weight;  ///< [terms, ..]
  std::int64_t weight_stride;
  int weight_terms;
  std::int64_t term_stride;

  GemmProblem(std::int64_t m, std::int64_t n, std::int64_t k, bool deep, int terms = 1)
      : rows(m), columns(n), depth(k), by_depth(deep), weight_terms(terms) {
    Random random(7);
    a = random.values(m * (k + 5));
    initial = random.values(m * (n + 3));
    bias = random.values(n);
    weight_stride = ((deep ? n : k) + 15) / 8 * 8;
    term_stride = (deep ? k : n) * weight_stride;
    std::vector<float> values = random.values(term_stride);
    for (int term = 0; term < terms; ++term) {
      for (float& value : values) {
        weight.push_back(f32_to_bf16(value));
        value -= bf16_to_f32(weight.back());
      }
    }
  }
  double weight_at(std::int64_t column, std::int64_t k) const {
    const std::int64_t at = by_depth ? k * weight_stride + column : column * weight_stride + k;
    double sum = 0.0;
    for (int term = 0; term < weight_terms; ++term) {
      sum += bf16_to_f32(weight[static_cast<std::size_t>(term * term_stride + at)]);
    }
    return sum;
  }
  /// The first `count` rows into c without gaps, nothing added.
  cuda::Gemm product(std::int64_t count, float* c) const {
    return {.rows = count,
            .columns = columns,
            .depth = depth,
            .a = {a.data(), depth + 5},
            .b = {weight.data(), weight_stride, by_depth, weight_terms, term_stride},
            .c = c,
            .c_stride = columns};
  }
  /// Scaled, with bias and residual, into c of stride columns + 3.
  cuda::Gemm with_all(std::int64_t count, float* c) const {
    cuda::Gemm g = product(count, c);
    g.scale = 0.5f;
    g.c_stride = columns + 3;
    g.bias = bias.data();
    g.initial = initial.data();
    return g;
  }
  std::vector<float> room(std::int64_t count) const {
    return std::vector<float>(static_cast<std::size_t>(count * (columns + 3)), -1.0f);
  }
  /// Of with_all's c, which must be untouched between rows.
  double largest_error(const std::vector<float>& c) const {
    double largest = 0.0;
    for (std::size_t at = 0; at < c.size(); ++at) {
      const std::int64_t row = static_cast<std::int64_t>(at) / (columns + 3);
      const std::int64_t column = static_cast<std::int64_t>(at) % (columns + 3);
      if (column >= columns) {
        CHECK(c[at] == -1.0f);
        continue;
      }
      double sum = 0.0;
      for (std::int64_t k = 0; k < depth; ++k) {
        sum += static_cast<double>(a[static_cast<std::size_t>(row * (depth + 5) + k)]) *
               weight_at(column, k);
      }
      const double expected = 0.5 * sum + bias[static_cast<std::size_t>(column)] + initial[at];
      const double difference = std::fabs(c[at] - expected);
      if (!(difference <= largest)) largest = difference;
    }
    return largest;
  }
};

}  // namespace headspark::test
