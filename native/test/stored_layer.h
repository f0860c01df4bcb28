// A linear layer of random weights with the storage that its view points into.
#pragma once

#include <cstdint>
#include <vector>

#include "headspark/dtype.h"
#include "headspark/weight.h"
#include "op_suite.h"

namespace headspark::test {

struct LayerForm {
  bool bf16 = true;  // else fp32
  bool bias = false;
  std::int64_t rank = 0;  // of a low-rank term; 0: none
};

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
    std::vector<float> a = random.values(form.rank * in, -0.5f, 0.5f);
    weight.low_rank = make_low_rank(form.rank, 0.5f, std::move(a), random.values(out * form.rank));
  }
  StoredLayer(const StoredLayer&) = delete;
  StoredLayer& operator=(const StoredLayer&) = delete;
};

}  // namespace headspark::test
