// Low-rank terms of layers on a GPU: what the factors are stored as, who multiplies, decode steps.
#include "cuda/low_rank.h"

#include <doctest/doctest.h>

#include "cuda/layer_product.h"
#include "cuda_emulation/fake_cublas_lt.h"
#include "cuda_emulation/library_backend.h"
#include "headspark/buffer.h"
#include "op_suite.h"
#include "stored_layer.h"

namespace headspark::test {
namespace {

using namespace cuda;

struct LowRankLayer {
  std::int64_t out;
  std::int64_t in;
  Random random{6};
  StoredLayer layer;

  LowRankLayer(std::int64_t outputs, std::int64_t inputs, std::int64_t rank, bool bf16_factors)
      : out(outputs), in(inputs), layer(outputs, inputs, form(rank, bf16_factors), random) {}

  static LayerForm form(std::int64_t rank, bool bf16_factors) {
    LayerForm form;
    form.rank = rank;
    form.bf16_factors = bf16_factors;
    return form;
  }
};

std::vector<float> forward_of(const Context& context, const LinearWeight& weight,
                              const std::vector<float>& x, std::int64_t rows) {
  const std::span<const float> first(x.data(), static_cast<std::size_t>(rows * weight.in()));
  const Buffer<float> input(context.backend, first);
  Buffer<float> y(context.backend, rows * weight.out());
  linear_forward(context, whole_layer(weight, rows, input.data(), y.data()));
  return y.to_host();
}

std::vector<float> backward_of(const Context& context, const LinearWeight& weight,
                               const std::vector<float>& d_y, std::int64_t rows) {
  const std::span<const float> first(d_y.data(), static_cast<std::size_t>(rows * weight.out()));
  const Buffer<float> input(context.backend, first);
  Buffer<float> d_x(context.backend, rows * weight.in());
  linear_backward(context, whole_layer_gradient(weight, rows, input.data(), d_x.data()));
  return d_x.to_host();
}

Context device_context(const std::shared_ptr<Backend>& backend, Precision precision,
                       bool decoding) {
  Context context = make_cpu_context(1, Isa::specification, precision);
  context.backend = backend;
  context.decoding = decoding;
  return context;
}

double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/// run(backend, precision) on the emulated device without and with cuBLASLt. What `fast` made of
/// factors is there when `exact` meets them.
template <typename Run>
void on_all(const Run& run) {
  FakeCublasLt::get() = {};
  for (const auto& backend : {make_cuda_backend(0), make_library_backend()}) {
    for (const auto precision : {Precision::fast, Precision::exact}) run(backend, precision);
  }
}

}  // namespace

TEST_CASE("low-rank terms on a GPU agree with the specification, whatever their factors are") {
  const std::int64_t rows = 9;
  const Context specification = make_cpu_context(1, Isa::specification);
  for (const std::int64_t rank : {1, 8, 19}) {
    for (const bool bf16 : {false, true}) {
      const LowRankLayer low(40, 72, rank, bf16);
      const LinearWeight& weight = low.layer.weight;
      const std::vector<float> x = Random(3).values(rows * low.in);
      const std::vector<float> d_y = Random(4).values(rows * low.out);
      const std::vector<float> y = forward_of(specification, weight, x, rows);
      const std::vector<float> d_x = backward_of(specification, weight, d_y, rows);
      on_all([&](const std::shared_ptr<Backend>& backend, Precision precision) {
        const Context context = device_context(backend, precision, false);
        const double rounding = precision == Precision::exact ? 1e-5 : 0.05;
        CHECK(largest_difference(forward_of(context, weight, x, rows), y) <= rounding);
        CHECK(largest_difference(backward_of(context, weight, d_y, rows), d_x) <= rounding);
      });
    }
  }
}

TEST_CASE("low-rank terms on a GPU: values of fp32 factors lose no bit in exact") {
  Random random(6);
  const std::int64_t width = 24;
  const LowRankLayer none(width, width, 0, false);
  LinearWeight weight = none.layer.weight;
  // One rank: y = a[i] b, where x is a unit vector. Both have all 24 bits.
  const std::vector<float> a = random.values(width, 1.0f, 2.0f);
  weight.low_rank = make_low_rank(1, 1.0f, a, std::vector<float>(width, 1.0f + 0x1p-23f));
  on_all([&](const std::shared_ptr<Backend>& backend, Precision precision) {
    if (precision == Precision::fast) return;
    const Context context = device_context(backend, precision, false);
    for (std::int64_t i = 0; i < width; ++i) {
      std::vector<float> x(static_cast<std::size_t>(width), 0.0f);
      x[static_cast<std::size_t>(i)] = 1.0f;
      const double expected =
          static_cast<double>(a[static_cast<std::size_t>(i)]) * (1.0 + 0x1p-23) +
          weight.view.at(0, i);
      const float found = forward_of(context, weight, x, 1)[0];
      CHECK(std::fabs(found - expected) <= 0x1p-22 * std::fabs(expected));
    }
  });
}

TEST_CASE("low-rank terms on a GPU: a decode step's rows have the same bits in any step") {
  const std::int64_t rows = 130;
  const LowRankLayer low(16, 2048, 5, false);  // two parts
  const std::vector<float> x = Random(3).values(rows * low.in);
  on_all([&](const std::shared_ptr<Backend>& backend, Precision precision) {
    const Context context = device_context(backend, precision, true);
    const std::vector<float> all = forward_of(context, low.layer.weight, x, rows);
    for (const std::int64_t few : {1, 127}) {
      check_same_bits("rows", forward_of(context, low.layer.weight, x, few),
                      {all.begin(), all.begin() + few * low.out});
    }
    const std::vector<float> whole =
        forward_of(device_context(backend, precision, false), low.layer.weight, x, rows);
    CHECK(largest_difference(all, whole) <= 1e-3);
  });
}

}  // namespace headspark::test
