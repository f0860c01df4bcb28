// A linear layer of random weights with the storage that its view points into.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "headspark/dtype.h"
#include "headspark/weight.h"
#include "op_suite.h"

namespace headspark::test {

struct LayerForm {
  bool bf16 = true;  // else fp32
  bool bias = false;
  std::int64_t rank = 0;      // of a low-rank term; 0: none
  bool bf16_factors = false;  // of the term
};

/// A low-rank term of values in [-0.5, 0.5) and [-1, 1), or of the bf16 numbers next to them.
inline std::shared_ptr<const LowRank> random_low_rank(std::int64_t out, std::int64_t in,
                                                      std::int64_t rank, bool bf16, Random& random,
                                                      float scale = 0.5f) {
  std::vector<float> a = random.values(rank * in, -0.5f, 0.5f);
  std::vector<float> b = random.values(out * rank);
  for (std::vector<float>* factor : {&a, &b}) {
    if (!bf16) continue;
    for (float& value : *factor) value = bf16_to_f32(f32_to_bf16(value));
  }
  return make_low_rank(rank, scale, std::move(a), std::move(b));
}

struct StoredLayer {
  std::vector<float> f32;
  std::vector<std::uint16_t> bf16;
  LinearWeight weight;

  StoredLayer(std::int64_t out, std::int64_t in, const LayerForm& form, Random& random) {
    f32 = random.values(out * in, -0.5f, 0.5f);
    for (const float value : f32) bf16.push_back(f32_to_bf16(value));
    const void* data = form.bf16 ? static_cast<const void*>(bf16.data()) : f32.data();
    weight =
        make_linear_weight(contiguous_view(data, form.bf16 ? DType::bf16 : DType::f32, out, in),
                           form.bias ? random.values(out) : std::vector<float>{});
    if (form.rank == 0) return;
    weight.low_rank = random_low_rank(out, in, form.rank, form.bf16_factors, random);
  }
  StoredLayer(const StoredLayer&) = delete;
  StoredLayer& operator=(const StoredLayer&) = delete;
};

}  // namespace headspark::test
