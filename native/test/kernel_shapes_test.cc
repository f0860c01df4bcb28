// The kernel templates in the shape of AVX-512 (16 lanes, tiles of 12 rows and 2 panels), made of
// four portable vectors: every machine runs that code, whatever its processor. Against the 4-lane
// level.
#include <doctest/doctest.h>

#include <cmath>

#include "cpu/kernels/make_table.h"
#include "cpu/kernels/simd_portable.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

// Sixteen lanes as four times four.
struct QuadSimd {
  using P = portable::Simd;
  static constexpr int width = 16;
  static constexpr int tile_rows = 12;
  static constexpr int tile_panels = 2;
  static constexpr int row_panels = 8;
  static constexpr int expand_rows = 1 << 30;
  static constexpr int contraction_columns = 7;
  static constexpr int transpose_depths = 4;
  static constexpr int transpose_width = 4;
  struct F {
    P::F part[4];
  };
  struct Mask {
    P::Mask part[4];
  };

  template <typename Op>
  static F each(const Op& op) {
    return {{op(0), op(1), op(2), op(3)}};
  }
  static F set(float x) {
    return each([&](int) { return P::set(x); });
  }
  static F load(const float* p) {
    return each([&](int i) { return P::load(p + 4 * i); });
  }
  static void stream(float* p, F v) { store(p, v); }
  static void fence() {}
  static void store(float* p, const F& v) {
    for (int i = 0; i < 4; ++i) P::store(p + 4 * i, v.part[i]);
  }
  static F load_bf16(const std::uint16_t* p) {
    return each([&](int i) { return P::load_bf16(p + 4 * i); });
  }
  static void load_pairs(const std::uint16_t* p, F& even, F& odd) {
    for (int i = 0; i < 4; ++i) P::load_pairs(p + 8 * i, even.part[i], odd.part[i]);
  }
  static F in_register(const F& v) { return v; }
  static F add(const F& a, const F& b) {
    return each([&](int i) { return P::add(a.part[i], b.part[i]); });
  }
  static F sub(const F& a, const F& b) {
    return each([&](int i) { return P::sub(a.part[i], b.part[i]); });
  }
  static F mul(const F& a, const F& b) {
    return each([&](int i) { return P::mul(a.part[i], b.part[i]); });
  }
  static F div(const F& a, const F& b) {
    return each([&](int i) { return P::div(a.part[i], b.part[i]); });
  }
  static F fma(const F& a, const F& b, const F& c) {
    return each([&](int i) { return P::fma(a.part[i], b.part[i], c.part[i]); });
  }
  static F min(const F& a, const F& b) {
    return each([&](int i) { return P::min(a.part[i], b.part[i]); });
  }
  static F max(const F& a, const F& b) {
    return each([&](int i) { return P::max(a.part[i], b.part[i]); });
  }
  static F abs(const F& a) {
    return each([&](int i) { return P::abs(a.part[i]); });
  }
  static F round(const F& a) {
    return each([&](int i) { return P::round(a.part[i]); });
  }
  static F scale(const F& a, const F& n) {
    return each([&](int i) { return P::scale(a.part[i], n.part[i]); });
  }
  static F reciprocal(const F& a) {
    return each([&](int i) { return P::reciprocal(a.part[i]); });
  }
  static Mask less(const F& a, const F& b) {
    Mask mask{};
    for (int i = 0; i < 4; ++i) mask.part[i] = P::less(a.part[i], b.part[i]);
    return mask;
  }
  static F select(const Mask& mask, const F& a, const F& b) {
    return each([&](int i) { return P::select(mask.part[i], a.part[i], b.part[i]); });
  }
  static float sum(const F& v) {
    return P::sum(P::add(P::add(v.part[0], v.part[2]), P::add(v.part[1], v.part[3])));
  }
  static float largest(const F& v) {
    return P::largest(P::max(P::max(v.part[0], v.part[2]), P::max(v.part[1], v.part[3])));
  }
  static void transpose(const float* const* rows, std::int64_t k, float* out, std::int64_t stride) {
    P::transpose(rows, k, out, stride);
  }
};

const KernelTable& wide() {
  static constexpr KernelTable table = make_table<QuadSimd>();
  return table;
}

std::vector<float> run_gemm(const KernelTable& kernels, GemmTile tile) {
  std::vector<float> c(static_cast<std::size_t>(tile.rows * tile.panels * 16), 0.5f);
  tile.c = c.data();
  tile.c_stride = tile.panels * 16;
  kernels.gemm.multiply(tile);
  return c;
}

void check_value(const char* name, double a, double b) {
  CHECK_MESSAGE(!(std::fabs(a - b) > 1e-5 * (1.0 + std::fabs(b))), name, ": ", a, " against ", b);
}

}  // namespace

TEST_CASE("wide gemm tiles: every remainder of rows and panels, both layouts") {
  Random random(1);
  constexpr std::int64_t depth = 37;
  constexpr std::int64_t panel = padded_depth(depth) * 16;
  std::vector<float> a = random.values(27 * kTileStride);
  for (int r = 0; r < 27; ++r) a[r * kTileStride + depth] = 0.0f;  // as pack_a leaves it
  const std::vector<float> b = random.values(9 * panel);
  std::vector<std::uint16_t> pairs;
  for (const float value : b) pairs.push_back(f32_to_bf16(value));
  for (std::int64_t rows = 1; rows <= 27; ++rows) {
    for (const std::int64_t panels : {1, 2, 3, 8, 9}) {
      for (const PanelLayout layout : {PanelLayout::f32, PanelLayout::pairs}) {
        GemmTile tile;
        tile.a = a.data();
        tile.rows = rows;
        tile.b = layout == PanelLayout::f32 ? static_cast<const void*>(b.data()) : pairs.data();
        tile.layout = layout;
        tile.panel_bytes = panel * (layout == PanelLayout::f32 ? 4 : 2);
        tile.panels = panels;
        tile.depth = depth;
        tile.accumulate = rows % 2 == 0;
        // One chain per element: even the bits agree.
        check_same_bits("gemm", run_gemm(wide(), tile), run_gemm(portable_kernels(), tile));
      }
    }
  }
}

TEST_CASE("wide reductions and exponentials") {
  Random random(2);
  for (const std::int64_t count : {1, 15, 16, 17, 100, 5000}) {
    const std::vector<float> x = random.values(count, -5.0f, 5.0f);
    const std::vector<float> y = random.values(count);
    const KernelTable& narrow = portable_kernels();
    check_value("dot", wide().dot(x.data(), y.data(), count),
                narrow.dot(x.data(), y.data(), count));
    CHECK(wide().largest(x.data(), count) == narrow.largest(x.data(), count));
    CHECK(wide().largest_number(x.data(), count) == narrow.largest(x.data(), count));
    check_value("sum_exp", wide().sum_exp(x.data(), count, 1.0f),
                narrow.sum_exp(x.data(), count, 1.0f));
    check_value("abs_sum", wide().abs_sum(x.data(), count), narrow.abs_sum(x.data(), count));
    check_value("abs_diff_sum", wide().abs_diff_sum(x.data(), y.data(), count),
                narrow.abs_diff_sum(x.data(), y.data(), count));
    std::vector<float> a = x;
    std::vector<float> b = x;
    check_value("exp_in_place", wide().exp_in_place(a.data(), count, count, 5.0f),
                narrow.exp_in_place(b.data(), count, count, 5.0f));
    check_near("exp_in_place", a, b, 1e-6);
  }
}

TEST_CASE("ends of rows: the largest number and exponentials on every level") {
  Random random(6);
  for (const Isa isa : cpu_levels()) {
    if (isa == Isa::specification) continue;
    const KernelTable& kernels = kernel_table(isa, Precision::exact);
    for (std::int64_t count = 1; count <= 40; ++count) {
      std::vector<float> x = random.values(64);
      x[static_cast<std::size_t>(count)] = 9.0f;  // behind the end
      const auto end = x.begin() + count;
      CHECK(kernels.largest_number(x.data(), count) == *std::max_element(x.begin(), end));
      std::vector<float> y = x;
      const float sum = kernels.exp_in_place(y.data(), count, count + 5, 1.0f);
      double expected = 0.0;
      for (std::int64_t i = 0; i < 64; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const double e = std::exp(static_cast<double>(x[at]) - 1.0);
        if (i < count) expected += e;
        const double value = i < count ? e : i < count + 5 ? 0.0 : x[at];
        CHECK(!(std::fabs(y[at] - value) > 3e-7));
      }
      CHECK(!(std::fabs(sum - expected) > 1e-6 * expected));
      x[static_cast<std::size_t>(count - 1)] = NAN;
      const float others = count > 1 ? *std::max_element(x.begin(), end - 1) : -INFINITY;
      CHECK(kernels.largest_number(x.data(), count) == others);
      CHECK(std::isnan(kernels.exp_in_place(x.data(), count, count, 1.0f)));
      CHECK(std::isnan(x[static_cast<std::size_t>(count - 1)]));
    }
  }
}

TEST_CASE("exp is right at its ends on every level") {
  const std::vector<float> x = {0.0f,   1.0f,    88.7f,    88.73f,    -87.3f, -87.4f,
                                200.0f, -200.0f, INFINITY, -INFINITY, NAN,    -1e-8f};
  for (const Isa isa : cpu_levels()) {
    if (isa == Isa::specification) continue;
    std::vector<float> y(x.size());
    kernel_table(isa, Precision::exact)
        .exp_range(x.data(), static_cast<std::int64_t>(x.size()), 0.0f, y.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = std::exp(static_cast<double>(x[i]));
      if (x[i] != x[i]) {
        CHECK(std::isnan(y[i]));
      } else if (expected > 3.4028235e38) {
        CHECK(y[i] == INFINITY);
      } else {
        CHECK_MESSAGE(!(std::fabs(y[i] - expected) > 2e-7 * expected + 1.2e-38), "exp ", x[i]);
      }
    }
  }
}

TEST_CASE("exp is within two units in the last place") {
  std::vector<float> x;
  for (float value = -87.0f; value < 88.0f; value += 0.00173f) x.push_back(value);
  std::vector<float> y(x.size());
  for (const Isa isa : cpu_levels()) {
    if (isa == Isa::specification) continue;
    kernel_table(isa, Precision::exact)
        .exp_range(x.data(), static_cast<std::int64_t>(x.size()), 0.0f, y.data());
    double worst = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = std::exp(static_cast<double>(x[i]));
      worst = std::fmax(worst, std::fabs(y[i] - expected) / expected);
    }
    CHECK_MESSAGE(!(worst > 2.4e-7), isa_name(isa), " exp is off by ", worst);
  }
}

TEST_CASE("wide rows: norm, rotation, activations, blend") {
  Random random(3);
  const std::int64_t width = 45;
  const std::vector<float> x = random.values(width), d_y = random.values(width);
  const std::vector<float> weight = random.values(width), bias = random.values(width);
  const auto both = [&](const char* name, const auto& run) {
    std::vector<float> a = x;
    std::vector<float> b = x;
    run(wide(), a.data());
    run(portable_kernels(), b.data());
    check_near(name, a, b, 1e-5);
  };
  for (const bool centered : {false, true}) {
    both("norm", [&](const KernelTable& kernels, float* out) {
      kernels.norm_forward(
          {x.data(), nullptr, weight.data(), bias.data(), out, width, 1e-5f, centered, false});
    });
    both("d norm", [&](const KernelTable& kernels, float* out) {
      kernels.norm_backward(
          {x.data(), d_y.data(), weight.data(), nullptr, out, width, 1e-5f, centered, true});
    });
  }
  both("rotate", [&](const KernelTable& kernels, float* out) {
    kernels.rotate({out, out + 21, weight.data(), bias.data(), 21, -1.0f});
  });
  both("blend", [&](const KernelTable& kernels, float* out) {
    kernels.blend({0.3f, x.data(), d_y.data(), out, width});
  });
  for (int activation = 0; activation < 4; ++activation) {
    both("activation", [&](const KernelTable& kernels, float* out) {
      kernels.activations[activation].forward({x.data(), d_y.data(), nullptr, out, nullptr, width});
    });
  }
}

TEST_CASE("wide pack_rows transposes and fills absent rows with zeros") {
  Random random(4);
  const std::vector<float> x = random.values(16 * 19);
  const float* rows[16] = {};
  for (int j = 0; j < 11; ++j) rows[j] = x.data() + j * 19;
  for (const KernelTable* kernels :
       {&wide(), &portable_kernels(), &kernel_table(machine_isa(), Precision::exact)}) {
    std::vector<float> panel(19 * 16, 9.0f);
    kernels->pack_rows({rows, 19, panel.data()});
    bool right = true;
    for (std::size_t k = 0; k < 19; ++k) {
      for (std::size_t j = 0; j < 16; ++j) {
        right = right && panel[k * 16 + j] == (j < 11 ? x[j * 19 + k] : 0.0f);
      }
    }
    CHECK(right);
  }
}

}  // namespace headspark::test
