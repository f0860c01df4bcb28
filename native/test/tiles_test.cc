// The tile kernels: terms hold all bits, packing and edges of the emulated twin, and the hardware
// (where there is any) gives the twin's bits.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "cpu/kernels/bf16_terms.h"
#include "cpu/kernels/fp16_terms.h"
#include "cpu/packed_weights.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

struct Product {
  std::int64_t rows = 0, panels = 0, depth = 0;
  std::vector<float> a;  // [rows, depth]
  std::vector<float> b;  // [panel][depth][16]
  std::vector<float> c;  // [rows, panels * 16]

  Product(std::int64_t r, std::int64_t p, std::int64_t d, std::uint64_t seed)
      : rows(r), panels(p), depth(d) {
    Random random(seed);
    a = random.values(rows * depth);
    b = random.values(panels * depth * 16);
    c = random.values(rows * panels * 16);
  }

  /// c (+)= a b by a level, with guard values behind c's columns.
  std::vector<float> run(const GemmKernels& kernels, bool accumulate, std::int64_t gap) const {
    const std::int64_t stride = panels * 16 + gap;
    std::vector<float> out(static_cast<std::size_t>(rows * stride), 7.0f);
    for (std::int64_t r = 0; r < rows; ++r) {
      std::copy_n(c.data() + r * panels * 16, panels * 16, out.data() + r * stride);
    }
    auto packed_a = allocate_panels_of(kernels.a_bytes(rows, depth));
    kernels.pack_a({a.data(), depth, rows, depth, 0, 1.0f, packed_a.get()});
    const std::int64_t panel = padded_depth(depth) * 16;
    auto terms = allocate_panels_of(2 * kernels.b_terms * panels * panel);
    std::vector<float> scales(static_cast<std::size_t>(panels));
    kernels.split_panels({b.data(), depth * 16, panels, depth, kernels.b_terms,
                          static_cast<std::uint16_t*>(terms.get()), scales.data()});
    GemmTile tile;
    tile.a = packed_a.get();
    tile.rows = rows;
    tile.b = terms.get();
    tile.layout = kernels.terms_layout;
    tile.b_scales = scales.data();
    tile.panel_bytes = 2 * panel;
    tile.b_terms = kernels.b_terms;
    tile.term_bytes = 2 * panels * panel;
    tile.panels = panels;
    tile.depth = depth;
    tile.c = out.data();
    tile.c_stride = stride;
    tile.accumulate = accumulate;
    const Multiplying multiplying(kernels, rows);
    kernels.multiply(tile);
    return out;
  }

  static std::shared_ptr<void> allocate_panels_of(std::int64_t bytes) {
    return {std::aligned_alloc(64, static_cast<std::size_t>((bytes + 63) / 64 * 64)), std::free};
  }
};

float bf16_value(std::uint16_t bits) {
  return bf16_to_f32(bits);
}

}  // namespace

TEST_CASE("three bf16 terms hold every bit of fp32, one is the nearest bf16") {
  Random random(1);
  std::vector<float> values = random.values(1024, -3.0f, 3.0f);
  values[0] = 0.0f;
  values[1] = -0.0f;
  values[2] = 1e30f;
  values[3] = 1e-30f;
  values[4] = 1.0f + 0x1p-23f;
  values[5] = 1.0f + 0x1p-8f;            // a tie: to even, down
  values[6] = 1.0f + 0x1p-7f + 0x1p-8f;  // a tie: to even, up
  for (std::size_t i = 0; i < values.size(); i += 16) {
    std::uint16_t terms[3][16];
    split_terms<3, 16>(values.data() + i, terms);
    for (int j = 0; j < 16; ++j) {
      const float sum =
          bf16_value(terms[0][j]) + (bf16_value(terms[1][j]) + bf16_value(terms[2][j]));
      CHECK(sum == values[i + j]);
      CHECK(terms[0][j] == f32_to_bf16(values[i + j]));
    }
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  float broken[16] = {nan, bits_to_f32(0x7fffffffu), std::numeric_limits<float>::infinity()};
  std::uint16_t terms[3][16];
  split_terms<3, 16>(broken, terms);
  CHECK(std::isnan(bf16_value(terms[0][0])));
  CHECK(std::isnan(bf16_value(terms[0][1])));
  CHECK(std::isinf(bf16_value(terms[0][2])));
}

TEST_CASE("every fp16 has its value, and every fp32 the nearest fp16") {
  for (std::uint32_t half = 0; half < 0x10000u; ++half) {
    const auto bits = static_cast<std::uint16_t>(half);
    const float value = f16_to_f32(bits);
    if (std::isnan(value)) {
      CHECK(std::isnan(fp16_value(bits)));
      continue;
    }
    if (fp16_value(bits) != value || round_to_fp16(value) != bits) FAIL("fp16 " << half);
  }
  Random random(5);
  for (int i = 0; i < 20000; ++i) {
    const float x = std::ldexp(random.values(1)[0], static_cast<int>(random.below(44)) - 27);
    const std::uint16_t half = round_to_fp16(x);
    const double off = std::fabs(static_cast<double>(fp16_value(half)) - x);
    // Neighbours by magnitude: at most one is as near, and then the chosen one is even.
    for (const int step : {-1, 1}) {
      if ((half & 0x7fffu) == 0 && step < 0) continue;
      const auto beside = static_cast<std::uint16_t>(half + step);
      const double other = std::fabs(static_cast<double>(fp16_value(beside)) - x);
      if (!(off < other || (off == other && half % 2 == 0))) FAIL("rounding " << x);
    }
  }
  CHECK(round_to_fp16(65519.0f) == 0x7bff);
  CHECK(round_to_fp16(65520.0f) == 0x7c00);
  CHECK(round_to_fp16(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(std::isnan(fp16_value(round_to_fp16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST_CASE("two fp16 terms of a scaled row hold fp32 up to its last bit, whatever its size") {
  Random random(6);
  for (const float size : {1e-37f, 1e-20f, 1e-3f, 1.0f, 1e4f, 1e20f, 1e37f}) {
    for (const float unit : random.values(512)) {
      const float x = size * unit;
      const RowPower power = row_power(size);
      CHECK(power.power * power.inverse == 1.0f);
      std::uint16_t terms[2];
      PlainFp16Terms::split<2>(power.power * x, terms);
      const double sum = (static_cast<double>(fp16_value(terms[0])) + fp16_value(terms[1])) *
                         static_cast<double>(power.inverse);
      const double allowed = std::fabs(static_cast<double>(x)) * 0x1p-23 + size * 0x1p-38;
      CHECK(std::fabs(sum - x) <= allowed);
    }
  }
  for (const float factor : {0.3f, 1.0f, 2.0f, 4.5f, 1e6f, 3e38f}) {
    for (const float largest : {0.0f, 1e-40f, 1e-36f}) {
      const RowPower power = row_power(factor * largest, factor);
      CHECK(factor * power.power * 0.0f == 0.0f);
      CHECK(factor * power.power * largest < 0x1p15f);
      CHECK(power.power * power.inverse == 1.0f);
    }
  }
}

TEST_CASE("fp16 tiles: rows and panels of any size beside each other, and what is no number") {
  const GemmKernels& kernels = kernel_table(Isa::amx_fp16_emulated, Precision::exact).gemm;
  Product product(36, 2, 70, 12);
  for (std::int64_t r = 0; r < product.rows; ++r) {
    const float size = std::ldexp(1.0f, static_cast<int>(r * 5) - 90);
    for (std::int64_t k = 0; k < 70; ++k) product.a[r * 70 + k] *= size;
  }
  for (std::int64_t k = 0; k < 70 * 16; ++k) product.b[70 * 16 + k] *= 0x1p-30f;
  const std::vector<float> out = product.run(kernels, false, 0);
  for (std::int64_t r = 0; r < product.rows; ++r) {
    const double size = std::ldexp(1.0, static_cast<int>(r * 5) - 90);
    for (std::int64_t j = 0; j < 32; ++j) {
      double sum = 0.0;
      for (std::int64_t k = 0; k < 70; ++k) {
        sum +=
            static_cast<double>(product.a[r * 70 + k]) * product.b[(j / 16 * 70 + k) * 16 + j % 16];
      }
      CHECK(std::fabs(out[r * 32 + j] - sum) <= 4e-6 * size * (j < 16 ? 1.0 : 0x1p-30));
    }
  }
  product.a[3] = std::numeric_limits<float>::quiet_NaN();
  product.a[70 + 3] = std::numeric_limits<float>::infinity();
  const std::vector<float> broken = product.run(kernels, false, 0);
  for (std::int64_t j = 0; j < 32; ++j) {
    CHECK(std::isnan(broken[j]));
    CHECK_FALSE(std::isfinite(broken[32 + j]));
    CHECK(broken[64 + j] == out[64 + j]);
  }
}

TEST_CASE("tiles: every remainder of rows, panels and depths is fp32-faithful and stays inside") {
  for (const Isa isa : {Isa::amx_emulated, Isa::amx_fp16_emulated}) {
    const GemmKernels& kernels = kernel_table(isa, Precision::exact).gemm;
    for (const std::int64_t rows : {1, 15, 16, 17, 31, 32, 33, 48, 63}) {
      for (const std::int64_t panels : {1, 2, 3}) {
        for (const std::int64_t depth : {1, 31, 32, 33, 95}) {
          for (const bool accumulate : {false, true}) {
            const Product product(rows, panels, depth, 7);
            const std::vector<float> out = product.run(kernels, accumulate, 5);
            double worst = 0.0;
            for (std::int64_t r = 0; r < rows; ++r) {
              for (std::int64_t j = 0; j < panels * 16; ++j) {
                double sum = accumulate ? product.c[r * panels * 16 + j] : 0.0;
                for (std::int64_t k = 0; k < depth; ++k) {
                  sum += static_cast<double>(product.a[r * depth + k]) *
                         product.b[(j / 16 * depth + k) * 16 + j % 16];
                }
                const double diff = std::fabs(out[r * (panels * 16 + 5) + j] - sum);
                if (!(diff <= worst)) worst = diff;
              }
              for (int g = 0; g < 5; ++g)
                CHECK(out[r * (panels * 16 + 5) + panels * 16 + g] == 7.0f);
            }
            // Sums of up to 95 products below 1: a few units of fp32's last place.
            CHECK(worst <= 4e-6);
          }
        }
      }
    }
  }
}

TEST_CASE("tiles: a row's bits do not depend on the rows beside it") {
  for (const auto& [isa, precision] : {std::pair(Isa::amx_emulated, Precision::exact),
                                       std::pair(Isa::amx_emulated, Precision::fast),
                                       std::pair(Isa::amx_fp16_emulated, Precision::exact)}) {
    const GemmKernels& kernels = kernel_table(isa, precision).gemm;
    const Product all(40, 2, 70, 3);
    const std::vector<float> together = all.run(kernels, true, 0);
    for (std::int64_t r = 0; r < all.rows; ++r) {
      Product one(1, 2, 70, 3);
      one.b = all.b;
      std::copy_n(all.a.begin() + r * 70, 70, one.a.begin());
      std::copy_n(all.c.begin() + r * 32, 32, one.c.begin());
      const std::vector<float> alone = one.run(kernels, true, 0);
      CHECK(std::memcmp(alone.data(), together.data() + r * 32, 32 * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("tiles: the hardware gives the bits of its software twin") {
  struct Twins {
    Isa hardware, software;
    Precision precision;
  };
  for (const auto& [level, software, precision] :
       {Twins{Isa::amx, Isa::amx_emulated, Precision::exact},
        Twins{Isa::amx, Isa::amx_emulated, Precision::fast},
        Twins{Isa::amx_fp16, Isa::amx_fp16_emulated, Precision::exact}}) {
    if (!isa_runs_here(level)) {
      MESSAGE("skipped: this processor does not run level " << std::string(isa_name(level)));
      continue;
    }
    const GemmKernels& hardware = kernel_table(level, precision).gemm;
    const GemmKernels& twin = kernel_table(software, precision).gemm;
    for (const std::int64_t rows : {1, 17, 64}) {
      for (const std::int64_t depth : {5, 64, 500}) {
        const Product product(rows, 3, depth, 11);
        check_same_bits("tiles", product.run(hardware, true, 3), product.run(twin, true, 3));
      }
    }
  }
}

}  // namespace headspark::test
