// Gradients at heads' inputs whose terms are parts of one set for all heads: with the stand-in for
// cuBLASLt and with the own products in both precisions, of weights of every type.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "cuda_emulation/fake_cublas_lt.h"
#include "cuda_emulation/library_backend.h"
#include "headspark/buffer.h"
#include "headspark/ops/head_input.h"
#include "kept_rows.h"
#include "stored_layer.h"

namespace headspark::test {
namespace {

constexpr std::int64_t kHeads = 4;
constexpr std::int64_t kShare = 2;

struct HeadsCase {
  std::int64_t head_dim = 32;
  NormKind kind = NormKind::rms;
  std::int64_t copies = 5;  // 10: more than a thread holds at once
  std::int64_t tokens = 5;
  std::int64_t in = 48;
  std::int64_t rank = 0;  // of a low-rank term
  bool bf16_factors = false;
  DType stored = DType::bf16;

  // Whether one kernel multiplies and pulls back.
  bool at_once() const { return head_dim % 32 == 0 && kind != NormKind::layer && copies <= 8; }
};

struct NormedHeads {
  HeadsCase c;
  std::vector<std::uint16_t> bits;
  std::vector<float> values;
  NormWeight norm;
  LinearWeight weight;
  std::vector<float> x, d, projected;

  explicit NormedHeads(const HeadsCase& heads_case) : c(heads_case) {
    Random random(11);
    const std::int64_t out = kHeads / kShare * c.head_dim;
    values = random.values(out * c.in);
    for (const float value : values) {
      // fp16: every bit of numbers from 1/2 to 1.
      const auto half = static_cast<std::uint16_t>((random.bits() & 0x83ffu) | 0x3800u);
      bits.push_back(c.stored == DType::f16 ? half : f32_to_bf16(value));
    }
    const void* const data =
        c.stored == DType::f32 ? static_cast<const void*>(values.data()) : bits.data();
    weight = make_linear_weight(contiguous_view(data, c.stored, out, c.in), random.values(out));
    if (c.rank > 0) {
      weight.low_rank = random_low_rank(out, c.in, c.rank, c.bf16_factors, random);
    }
    norm.kind = c.kind;
    norm.weight = random.values(c.in, 0.5f, 1.5f);
    if (c.kind == NormKind::layer) norm.bias = random.values(c.in);
    const std::int64_t rows = c.copies * c.tokens;
    x = random.values(rows * c.in, -1.0f, 2.0f);
    d = random.values(rows * kHeads * c.head_dim);
    projected.resize(static_cast<std::size_t>(rows * out));
    const Context cpu = make_cpu_context(1, Isa::specification);
    std::vector<float> normed(x.size());
    norm_forward(cpu, {&norm, rows, x.data(), c.in, normed.data(), c.in});
    linear_forward(cpu, whole_layer(weight, rows, normed.data(), projected.data()));
  }

  std::vector<float> run(const Context& context, DType type = DType::f32) const {
    const auto there = [&](const std::vector<float>& values) {
      return Buffer<float>(context.backend, std::span<const float>(values));
    };
    const Buffer<float> x_there = there(x);
    const Buffer<float> d_there = there(d);
    const Buffer<float> projected_there = there(projected);
    const std::int64_t count = kHeads * c.tokens * c.in;
    Buffer<float> y(context.backend, floats_for(count, type));
    HeadInputBackward p;
    p.norm = &norm;
    p.copies = c.copies;
    p.tokens = c.tokens;
    p.head_dim = c.head_dim;
    p.x = x_there.data();
    p.type = type;
    p.projections = {{&weight, kHeads, kShare, projected_there.data(), d_there.data(), y.data(),
                      c.tokens * c.in}};
    head_input_backward(context, p);
    const std::vector<float> result = y.to_host();
    return type == DType::f32 ? result : from_bf16(result.data(), count);
  }
};

}  // namespace

TEST_CASE("heads' gradients on the GPU: parts of one set of terms are the heads' own") {
  const HeadsCase cases[] = {{.head_dim = 8},
                             {.head_dim = 8, .kind = NormKind::layer, .copies = 10},
                             {},
                             {.copies = 10},
                             {.kind = NormKind::layer},
                             {.kind = NormKind::fixed, .copies = 3},
                             {.head_dim = 8, .kind = NormKind::fixed},
                             {.head_dim = 64, .copies = 8, .in = 40},
                             {.head_dim = 64, .kind = NormKind::layer, .copies = 1},
                             {.head_dim = 96, .copies = 3, .tokens = 67, .in = 72},
                             {.rank = 5},
                             {.head_dim = 64, .copies = 8, .tokens = 67, .in = 136, .rank = 16},
                             {.in = 72, .rank = 40, .bf16_factors = true},
                             {.kind = NormKind::layer, .rank = 5},
                             {.head_dim = 8, .in = 44, .stored = DType::f16},
                             {.kind = NormKind::layer, .stored = DType::f32},
                             {.head_dim = 64, .copies = 8, .in = 40, .stored = DType::f16},
                             {.head_dim = 64, .tokens = 67, .in = 136, .stored = DType::f32},
                             {.in = 72, .rank = 5, .stored = DType::f16},
                             {.tokens = 67, .in = 72, .rank = 20, .stored = DType::f32}};
  for (const HeadsCase& c : cases) {
    const NormedHeads heads(c);
    const std::vector<float> expected = heads.run(make_cpu_context(1, Isa::specification));
    float largest = 0.0f;
    for (const float value : expected) largest = std::max(largest, std::fabs(value));
    for (const bool library : {false, true}) {
      for (const auto precision : {Precision::exact, Precision::fast}) {
        Context context = make_cpu_context(1, Isa::specification, precision);
        context.backend = library ? make_library_backend() : make_cuda_backend(0);
        FakeCublasLt::get() = {};
        const std::vector<float> got = heads.run(context);
        const bool by_library = library && !c.at_once() && c.in % 8 == 0;
        CHECK((FakeCublasLt::get().multiplications > 0) == by_library);
        float worst = 0.0f;
        for (std::size_t i = 0; i < got.size(); ++i) {
          const float difference = std::fabs(got[i] - expected[i]);
          if (!(difference <= worst)) worst = difference;
        }
        CAPTURE(c.head_dim);
        CAPTURE(c.copies);
        CAPTURE(library);
        CHECK(worst <= largest * (precision == Precision::exact ? 3e-6f : 1e-2f));
        if (precision == Precision::exact) continue;
        check_same_bits("bf16", heads.run(context, DType::bf16), rounded(got));
      }
    }
  }
}

}  // namespace headspark::test
