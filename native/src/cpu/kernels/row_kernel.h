// norm, rotary and element-wise kernels; formulas as in src/ops/norm_cpu.cc, rotary_cpu.cc and
// rows_cpu.cc.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/kernels/math.h"

namespace headspark {

template <typename S>
struct RowKernel {
  using F = typename S::F;

  struct Moments {
    float mean = 0.0f;
    float rstd = 0.0f;
  };

  static Moments moments(const NormRow& row) {
    Moments m;
    if (row.fixed) return {.mean = 0.0f, .rstd = 1.0f};
    const float inverse_width = 1.0f / static_cast<float>(row.width);
    if (row.centered) {
      F sum = S::set(0.0f);
      for_lanes<S>(row.width, [&](std::int64_t i, std::int64_t lanes) {
        sum = S::add(sum, load_lanes<S>(row.x + i, lanes));
      });
      m.mean = S::sum(sum) * inverse_width;
    }
    F square = S::set(0.0f);
    const F mean = S::set(m.mean);
    for_lanes<S>(row.width, [&](std::int64_t i, std::int64_t lanes) {
      const F d = S::sub(load_lanes<S>(row.x + i, lanes, m.mean), mean);
      square = S::fma(d, d, square);
    });
    m.rstd = 1.0f / __builtin_sqrtf(S::sum(square) * inverse_width + row.epsilon);
    return m;
  }

  static void norm_forward(const NormRow& row) {
    const Moments m = moments(row);
    const F mean = S::set(m.mean);
    const F rstd = S::set(m.rstd);
    for_lanes<S>(row.width, [&](std::int64_t i, std::int64_t lanes) {
      const F n = S::mul(S::sub(load_lanes<S>(row.x + i, lanes), mean), rstd);
      F y = S::mul(n, load_lanes<S>(row.weight + i, lanes));
      if (row.bias != nullptr) y = S::add(y, load_lanes<S>(row.bias + i, lanes));
      store_lanes<S>(row.out + i, lanes, y);
    });
  }

  static void norm_backward(const NormRow& row) {
    const Moments m = moments(row);
    const F mean = S::set(m.mean);
    const F rstd = S::set(m.rstd);
    const float inverse_width = 1.0f / static_cast<float>(row.width);
    F sum_g = S::set(0.0f);
    F sum_gn = S::set(0.0f);
    for_lanes<S>(row.width, [&](std::int64_t i, std::int64_t lanes) {
      const F n = S::mul(S::sub(load_lanes<S>(row.x + i, lanes, m.mean), mean), rstd);
      const F g = S::mul(load_lanes<S>(row.d_y + i, lanes), load_lanes<S>(row.weight + i, lanes));
      sum_g = S::add(sum_g, g);
      sum_gn = S::fma(g, n, sum_gn);
    });
    const F mean_g = S::set(row.centered ? S::sum(sum_g) * inverse_width : 0.0f);
    const F mean_gn = S::set(row.fixed ? 0.0f : S::sum(sum_gn) * inverse_width);
    for_lanes<S>(row.width, [&](std::int64_t i, std::int64_t lanes) {
      const F n = S::mul(S::sub(load_lanes<S>(row.x + i, lanes), mean), rstd);
      const F g = S::mul(load_lanes<S>(row.d_y + i, lanes), load_lanes<S>(row.weight + i, lanes));
      F d_x = S::mul(rstd, S::sub(S::sub(g, mean_g), S::mul(n, mean_gn)));
      if (row.accumulate) d_x = S::add(load_lanes<S>(row.out + i, lanes), d_x);
      store_lanes<S>(row.out + i, lanes, d_x);
    });
  }

  static void norm_moments(const NormRow& row, float* mean, float* rstd) {
    const Moments m = moments(row);
    *mean = m.mean;
    *rstd = m.rstd;
  }

  static void pull_back(const PullBack& p) {
    F sum = S::set(0.0f);
    if (p.centered) {
      for_lanes<S>(p.width, [&](std::int64_t i, std::int64_t lanes) {
        sum = S::fma(load_lanes<S>(p.d + i, lanes), load_lanes<S>(p.weight + i, lanes), sum);
      });
    }
    const float mean = p.centered ? S::sum(sum) / static_cast<float>(p.width) : 0.0f;
    const F added = S::set(p.constant - mean);
    for_lanes<S>(p.width, [&](std::int64_t i, std::int64_t lanes) {
      F y = S::fma(load_lanes<S>(p.d + i, lanes), load_lanes<S>(p.weight + i, lanes), added);
      const float* x = p.x + i;
      for (std::int64_t c = 0; c < p.copies; ++c, x += p.x_stride) {
        y = S::sub(y, S::mul(S::set(p.multiples[c]), load_lanes<S>(x, lanes)));
      }
      store_lanes<S>(p.y + i, lanes, y);
    });
  }

  static void rotate(const Rotation& p) {
    const F cosine_scale = S::set(p.cosine_scale);
    const F sine_scale = S::set(p.sine_scale);
    for_lanes<S>(p.pairs, [&](std::int64_t i, std::int64_t lanes) {
      const F x = load_lanes<S>(p.a + i, lanes);
      const F y = load_lanes<S>(p.b + i, lanes);
      const F c = S::mul(cosine_scale, load_lanes<S>(p.cosine + i, lanes));
      const F s = S::mul(sine_scale, load_lanes<S>(p.sine + i, lanes));
      store_lanes<S>(p.a + i, lanes, S::sub(S::mul(x, c), S::mul(y, s)));
      store_lanes<S>(p.b + i, lanes, S::add(S::mul(y, c), S::mul(x, s)));
    });
  }

  static void blend(const Blend& p) {
    const F scale = S::set(p.scale);
    const F rest = S::set(1.0f - p.scale);
    for_lanes<S>(p.count, [&](std::int64_t i, std::int64_t lanes) {
      F z = S::mul(scale, load_lanes<S>(p.x + i, lanes));
      if (p.r != nullptr) z = S::add(z, S::mul(rest, load_lanes<S>(p.r + i, lanes)));
      store_lanes<S>(p.z + i, lanes, z);
    });
  }

  /// Stores that bypass the caches want whole lines; the fence orders them before what other
  /// threads are told next. Rows may begin anywhere in a line, as those of 50257 logits do.
  static void copy_out(const CopyOut& p) {
    constexpr std::int64_t line = 16;
    for (std::int64_t r = 0; r < p.rows; ++r) {
      const float* from = p.from + r * p.from_stride;
      float* to = p.to + r * p.to_stride;
      const auto place = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(to) / 4 % line);
      std::int64_t i = 0;
      for (; i < (line - place) % line && i < p.count; ++i) to[i] = from[i];
      for (; i + line <= p.count; i += line) {
        for (std::int64_t j = i; j < i + line; j += S::width) S::stream(to + j, S::load(from + j));
      }
      for (; i < p.count; ++i) to[i] = from[i];
    }
    S::fence();
  }

  static void combine(float a, const float* x, float b, float* y, std::int64_t count) {
    const F scale_x = S::set(a);
    const F scale_y = S::set(b);
    for_lanes<S>(count, [&](std::int64_t i, std::int64_t lanes) {
      F sum = S::mul(scale_x, load_lanes<S>(x + i, lanes));
      if (b != 0.0f) sum = S::add(sum, S::mul(scale_y, load_lanes<S>(y + i, lanes)));
      store_lanes<S>(y + i, lanes, sum);
    });
  }

  // Four chains at a time, since each waits for its last addition.
  static void add_rows(const AddRows& s) {
    constexpr int chains = 4;
    std::int64_t i = 0;
    for (; i + chains * S::width <= s.length; i += chains * S::width) {
      F sums[chains];
#pragma GCC unroll 4
      for (int j = 0; j < chains; ++j) sums[j] = S::load(s.base + i + j * S::width);
      for (std::int64_t k = 0; k < s.count; ++k) {
        const float* row = s.rows + s.offsets[k] + i;
#pragma GCC unroll 4
        for (int j = 0; j < chains; ++j) sums[j] = S::add(sums[j], S::load(row + j * S::width));
      }
#pragma GCC unroll 4
      for (int j = 0; j < chains; ++j) S::store(s.y + i + j * S::width, sums[j]);
    }
    for_lanes<S>(s.length - i, [&](std::int64_t at, std::int64_t lanes) {
      F sum = load_lanes<S>(s.base + i + at, lanes);
      for (std::int64_t k = 0; k < s.count; ++k) {
        sum = S::add(sum, load_lanes<S>(s.rows + s.offsets[k] + i + at, lanes));
      }
      store_lanes<S>(s.y + i + at, lanes, sum);
    });
  }
};

}  // namespace headspark
