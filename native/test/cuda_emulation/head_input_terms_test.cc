// Gradients at heads' inputs whose terms are parts of one set for all heads: with the stand-in for
// cuBLASLt, which reads bf16 weights, and with the own products in both precisions.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cuda_emulation/fake_cublas_lt.h"
#include "cuda_emulation/library_backend.h"
#include "headspark/buffer.h"
#include "headspark/ops/head_input.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

constexpr std::int64_t kCopies = 10;  // more than a thread holds at once
constexpr std::int64_t kTokens = 5;
constexpr std::int64_t kHeads = 4;
constexpr std::int64_t kShare = 2;
constexpr std::int64_t kIn = 48;

struct Heads {
  std::int64_t head_dim;
  std::vector<std::uint16_t> bits;
  NormWeight norm;
  LinearWeight weight;
  std::vector<float> x, d, projected;

  Heads(std::int64_t width, NormKind kind) : head_dim(width) {
    Random random(11);
    const std::int64_t out = kHeads / kShare * head_dim;
    for (const float value : random.values(out * kIn)) bits.push_back(f32_to_bf16(value));
    weight =
        make_linear_weight(contiguous_view(bits.data(), DType::bf16, out, kIn), random.values(out));
    norm.kind = kind;
    norm.weight = random.values(kIn, 0.5f, 1.5f);
    if (kind == NormKind::layer) norm.bias = random.values(kIn);
    const std::int64_t rows = kCopies * kTokens;
    x = random.values(rows * kIn, -1.0f, 2.0f);
    d = random.values(rows * kHeads * head_dim);
    projected.resize(static_cast<std::size_t>(rows * out));
    const Context cpu = make_cpu_context(1, Isa::specification);
    std::vector<float> normed(x.size());
    norm_forward(cpu, {&norm, rows, x.data(), kIn, normed.data(), kIn});
    linear_forward(cpu, whole_layer(weight, rows, normed.data(), projected.data()));
  }

  std::vector<float> run(const Context& context) const {
    const auto there = [&](const std::vector<float>& values) {
      return Buffer<float>(context.backend, std::span<const float>(values));
    };
    const Buffer<float> x_there = there(x);
    const Buffer<float> d_there = there(d);
    const Buffer<float> projected_there = there(projected);
    Buffer<float> y(context.backend, kHeads * kTokens * kIn);
    HeadInputBackward p;
    p.norm = &norm;
    p.copies = kCopies;
    p.tokens = kTokens;
    p.head_dim = head_dim;
    p.x = x_there.data();
    p.projections = {
        {&weight, kHeads, kShare, projected_there.data(), d_there.data(), y.data(), kTokens * kIn}};
    head_input_backward(context, p);
    return y.to_host();
  }
};

}  // namespace

TEST_CASE("heads' gradients on the GPU: parts of one set of terms are the heads' own") {
  for (const std::int64_t head_dim : {8, 32, 64}) {
    for (const NormKind kind : {NormKind::rms, NormKind::layer}) {
      const Heads heads(head_dim, kind);
      const std::vector<float> expected = heads.run(make_cpu_context(1, Isa::specification));
      float largest = 0.0f;
      for (const float value : expected) largest = std::max(largest, std::fabs(value));
      for (const bool library : {false, true}) {
        for (const auto precision : {Precision::exact, Precision::fast}) {
          Context context = make_cpu_context(1, Isa::specification, precision);
          context.backend = library ? make_library_backend() : make_cuda_backend(0);
          FakeCublasLt::get() = {};
          const std::vector<float> got = heads.run(context);
          CHECK((FakeCublasLt::get().multiplications > 0) == library);
          float worst = 0.0f;
          for (std::size_t i = 0; i < got.size(); ++i) {
            const float difference = std::fabs(got[i] - expected[i]);
            if (!(difference <= worst)) worst = difference;
          }
          CAPTURE(head_dim);
          CAPTURE(library);
          CHECK(worst <= largest * (precision == Precision::exact ? 3e-6f : 1e-2f));
        }
      }
    }
  }
}

}  // namespace headspark::test
