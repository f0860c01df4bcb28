// Packed panels: every element in its place, zeros past the matrix, shared by copies of a weight.
#include "cpu/packed_weights.h"

#include <doctest/doctest.h>

#include <cstring>
#include <thread>
#include <utility>

#include "op_suite.h"

namespace headspark::test {
namespace {

float element(const PackedPanels& packed, std::int64_t k, std::int64_t column) {
  const std::int64_t panel = column / kPanelWidth;
  const std::int64_t j = column % kPanelWidth;
  if (packed.layout == PanelLayout::f32) {
    return static_cast<const float*>(packed.at(panel, k))[j];
  }
  float sum = 0.0f;
  for (int t = 0; t < packed.terms; ++t) {
    const char* term =
        static_cast<const char*>(packed.at(panel, k / 2 * 2)) + t * packed.term_bytes();
    std::uint16_t bits = 0;
    std::memcpy(&bits, term + 2 * (2 * j + k % 2), sizeof bits);
    sum += packed.layout == PanelLayout::pairs ? bf16_to_f32(bits)
                                               : f16_to_f32(bits) * packed.scales[panel];
  }
  return sum;
}

// GPT-NeoX's query_key_value: rows of q, k and v interleaved per head.
WeightView interleaved(const std::vector<std::uint16_t>& data, DType dtype) {
  WeightView view;
  view.data = data.data() + 4 * 7;  // the k rows of the first head
  view.dtype = dtype;
  view.rows = 20;
  view.cols = 7;
  view.row_group = 4;
  view.row_stride = 7;
  view.group_stride = 3 * 4 * 7;
  return view;
}

}  // namespace

TEST_CASE("packing keeps every element of a strided view, both ways") {
  std::vector<std::uint16_t> data;
  Random random(1);
  for (int i = 0; i < 5 * 3 * 4 * 7; ++i) {
    data.push_back(static_cast<std::uint16_t>(random.below(0x7000)));
  }
  ThreadPool threads(2);
  const GemmKernels& fp16 = kernel_table(Isa::amx_fp16_emulated, Precision::exact).gemm;
  for (const DType dtype : {DType::bf16, DType::f16}) {
    // One fp16 term and a power of two hold what is not 2^29 times smaller than its panel's
    // largest.
    std::vector<std::uint16_t> near;
    for (const std::uint16_t bits : data) {
      near.push_back(dtype == DType::f16 ? bits
                                         : static_cast<std::uint16_t>(0x3000u + bits % 0xc00));
    }
    const WeightView view = interleaved(near, dtype);
    PackedWeights weights(view);
    const PackedPanels& forward = weights.forward(threads, fp16);
    const PackedPanels& transposed = weights.transposed(threads, fp16);
    CHECK(forward.layout == PanelLayout::fp16_pairs);
    CHECK(forward.terms == 1);
    bool right = true;
    for (std::int64_t o = 0; o < view.rows; ++o) {
      for (std::int64_t i = 0; i < 7; ++i) {
        right = right && element(forward, i, o) == view.at(o, i);
        right = right && element(transposed, o, i) == view.at(o, i);
      }
    }
    CHECK(right);
    CHECK(&weights.forward(threads, fp16) == &forward);
    CHECK(&weights.forward(threads, portable_kernels().gemm) != &forward);
  }
  for (const auto& [dtype, isa] :
       {std::pair(DType::bf16, Isa::portable), std::pair(DType::f16, Isa::portable),
        std::pair(DType::bf16, Isa::amx_emulated), std::pair(DType::f16, Isa::amx_emulated)}) {
    const WeightView view = interleaved(data, dtype);
    PackedWeights weights(view);
    const GemmKernels& kernels = kernel_table(isa, Precision::exact).gemm;
    const PackedPanels& forward = weights.forward(threads, kernels);
    const PackedPanels& transposed = weights.transposed(threads, kernels);
    const bool split = dtype == DType::bf16 || isa == Isa::amx_emulated;
    CHECK(forward.layout == (split ? PanelLayout::pairs : PanelLayout::f32));
    CHECK(forward.terms == (dtype == DType::f16 && split ? 3 : 1));
    CHECK(forward.panels == 2);
    CHECK(transposed.panels == 1);
    CHECK(reinterpret_cast<std::uintptr_t>(forward.at(0, 0)) % 64 == 0);
    bool right = true;
    for (std::int64_t o = 0; o < 32; ++o) {
      for (std::int64_t i = 0; i < 7; ++i) {
        const float expected = o < view.rows ? view.at(o, i) : 0.0f;
        right = right && element(forward, i, o) == expected;
        if (o < view.rows) right = right && element(transposed, o, i) == expected;
      }
    }
    CHECK(right);
    CHECK(element(transposed, 3, 7) == 0.0f);
  }
}

TEST_CASE("factors of a low-rank term stay whole on levels that split fp32") {
  Random random(3);
  const std::vector<float> a = random.values(3 * 40);
  const std::vector<float> b = random.values(20 * 3);
  const std::shared_ptr<const LowRank> low = make_low_rank(3, 2.0f, a, b);
  ThreadPool threads(1);
  const GemmKernels& kernels = kernel_table(Isa::amx_emulated, Precision::exact).gemm;
  for (const PackedPanels* packed :
       {&low->a.packed->forward(threads, kernels), &low->b.packed->transposed(threads, kernels)}) {
    CHECK(packed->layout == PanelLayout::f32);
    CHECK(packed->panels == 1);
  }
  bool right = true;
  for (std::int64_t r = 0; r < 3; ++r) {
    for (std::int64_t i = 0; i < 40; ++i) {
      right = right && element(low->a.packed->forward(threads, kernels), i, r) == a[r * 40 + i];
    }
    for (std::int64_t o = 0; o < 20; ++o) {
      right = right && element(low->b.packed->forward(threads, kernels), r, o) == b[o * 3 + r];
    }
  }
  CHECK(right);
}

TEST_CASE(
    "factors of a low-rank term are bf16 where that holds their values, and one term in fast") {
  const std::vector<float> a(3 * 40, 1.5f);
  std::vector<float> b(20 * 3, 0.25f);
  b[7] = 0.1f;  // no bf16 number
  const std::shared_ptr<const LowRank> low = make_low_rank(3, 2.0f, a, b);
  CHECK(low->a.view.dtype == DType::bf16);
  CHECK(low->b.view.dtype == DType::f32);
  CHECK(factor_values(low->a) == a);
  CHECK(factor_values(low->b) == b);
  ThreadPool threads(1);
  const GemmKernels& exact = kernel_table(Isa::amx_emulated, Precision::exact).gemm;
  const GemmKernels& fast = kernel_table(Isa::amx_emulated, Precision::fast).gemm;
  for (const PackedPanels* packed :
       {&low->a.packed->forward(threads, exact), &low->a.packed->forward(threads, fast),
        &low->b.packed->forward(threads, fast)}) {
    CHECK(packed->layout == PanelLayout::pairs);
    CHECK(packed->terms == 1);
  }
  CHECK(low->b.packed->forward(threads, exact).layout == PanelLayout::f32);
}

TEST_CASE("a weight is packed once, from any thread") {
  const std::vector<float> values = Random(2).values(64 * 48);
  const LinearWeight weight =
      make_linear_weight(contiguous_view(values.data(), DType::f32, 64, 48));
  const LinearWeight copy = weight;
  CHECK(copy.packed == weight.packed);
  ThreadPool pool(2);
  std::vector<const void*> seen(4);
  std::vector<std::thread> threads;
  for (const void*& at : seen) {
    threads.emplace_back(
        [&] { at = copy.packed->forward(pool, portable_kernels().gemm).at(0, 0); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const void* at : seen)
    CHECK(at == weight.packed->forward(pool, portable_kernels().gemm).at(0, 0));
}

}  // namespace headspark::test
