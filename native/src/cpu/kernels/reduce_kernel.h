// Sums, maxima and exponentials over one row. Lane sums run in order over the row; long rows add
// blocks of 4096 in double, so that a vocabulary of 150k tokens loses nothing.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/kernels/math.h"

namespace headspark {

template <typename S>
struct ReduceKernel {
  using F = typename S::F;
  static constexpr std::int64_t block = 4096;

  static float dot(const float* a, const float* b, std::int64_t count) {
    F sum = S::set(0.0f);
    for_lanes<S>(count, [&](std::int64_t i, std::int64_t lanes) {
      sum = S::fma(load_lanes<S>(a + i, lanes), load_lanes<S>(b + i, lanes), sum);
    });
    return S::sum(sum);
  }

  // NaN if any value is NaN.
  static float largest(const float* x, std::int64_t count) {
    const float lowest = -__builtin_inff();
    F best = S::set(lowest);
    F nan = S::set(0.0f);  // 0 * x: NaN for NaN (and for infinities, which are asked for below)
    for_lanes<S>(count, [&](std::int64_t i, std::int64_t lanes) {
      const F v = load_lanes<S>(x + i, lanes, lowest);
      best = S::max(v, best);
      nan = S::fma(S::set(0.0f), load_lanes<S>(x + i, lanes), nan);
    });
    const float marker = S::sum(nan);
    if (marker == 0.0f) return S::largest(best);
    for (std::int64_t i = 0; i < count; ++i) {
      if (x[i] != x[i]) return x[i];
    }
    return S::largest(best);
  }

  static float largest_number(const float* x, std::int64_t count) {
    const float lowest = -__builtin_inff();
    F best = S::set(lowest);
    for_lanes<S>(count, [&](std::int64_t i, std::int64_t lanes) {
      best = S::max(load_lanes<S>(x + i, lanes, lowest), best);  // best, where x is NaN
    });
    return S::largest(best);
  }

  // The two largest of every lane, then of all lanes' pairs.
  static void largest_two(const float* x, std::int64_t count, float* two) {
    const float lowest = -__builtin_inff();
    F first = S::set(lowest);
    F second = first;
    for_lanes<S>(count, [&](std::int64_t i, std::int64_t lanes) {
      const F v = load_lanes<S>(x + i, lanes, lowest);
      second = S::max(S::min(v, first), second);
      first = S::max(v, first);
    });
    float pairs[2 * S::width];
    S::store(pairs, first);
    S::store(pairs + S::width, second);
    two[0] = two[1] = lowest;
    for (const float value : pairs) {
      if (value > two[0]) {
        two[1] = two[0];
        two[0] = value;
      } else if (value > two[1]) {
        two[1] = value;
      }
    }
  }

  static float exp_in_place(float* x, std::int64_t count, std::int64_t padded, float offset) {
    F sum = S::set(0.0f);
    const F shift = S::set(offset);
    const auto add_exp = [&](F v) {
      const F e = exp_of_negative<S>(S::sub(v, shift));
      sum = S::add(sum, e);
      return e;
    };
    std::int64_t i = 0;
    for (; i + S::width <= count; i += S::width) S::store(x + i, add_exp(S::load(x + i)));
    if (i < count) {
      const F e = add_exp(load_part<S>(x + i, count - i, -__builtin_inff()));  // e^-inf adds 0
      store_lanes<S>(x + i, padded - i < S::width ? padded - i : S::width, e);
      i += S::width;
    }
    for (; i + S::width <= padded; i += S::width) S::store(x + i, S::set(0.0f));
    if (i < padded) store_part<S>(x + i, padded - i, S::set(0.0f));
    return S::sum(sum);
  }

  static double sum_exp(const float* x, std::int64_t count, float offset) {
    const F shift = S::set(offset);
    double total = 0.0;
    for (std::int64_t begin = 0; begin < count; begin += block) {
      const std::int64_t size = count - begin < block ? count - begin : block;
      F sum = S::set(0.0f);
      for_lanes<S>(size, [&](std::int64_t i, std::int64_t lanes) {
        const F v = load_lanes<S>(x + begin + i, lanes, -__builtin_inff());  // e^-inf adds 0
        sum = S::add(sum, exp<S>(S::sub(v, shift)));
      });
      total += S::sum(sum);
    }
    return total;
  }

  static void exp_range(const float* x, std::int64_t count, float offset, float* y) {
    const F shift = S::set(offset);
    for_lanes<S>(count, [&](std::int64_t i, std::int64_t lanes) {
      store_lanes<S>(y + i, lanes, exp<S>(S::sub(load_lanes<S>(x + i, lanes), shift)));
    });
  }

  static void attention_scores(const AttentionScores& s) {
    const F lse = S::set(s.lse);
    const F rowsum = S::set(s.rowsum);
    F sum = S::set(0.0f);
    F d_sum = S::set(0.0f);
    for_lanes<S>(s.count, [&](std::int64_t i, std::int64_t lanes) {
      const F score = load_lanes<S>(s.scores + i, lanes, -__builtin_inff());  // e^-inf adds 0
      const F p = exp_of_negative<S>(S::sub(score, lse));
      const F d = S::mul(p, S::sub(load_lanes<S>(s.d_p + i, lanes), rowsum));
      sum = S::add(sum, p);
      d_sum = S::add(d_sum, d);
      store_lanes<S>(s.scores + i, lanes, p);
      store_lanes<S>(s.d_p + i, lanes, d);
    });
    for (std::int64_t i = s.count; i < s.padded; ++i) s.scores[i] = s.d_p[i] = 0.0f;
    *s.sum += S::sum(sum);
    *s.d_sum += S::sum(d_sum);
  }

  static void attention_gradients(const AttentionGradients& s) {
    const float scale = 1.0f / s.sum;
    const F one_over_sum = S::set(scale);
    const F rest = S::set(s.d_sum * scale);  // of rowsum
    for_lanes<S>(s.count, [&](std::int64_t i, std::int64_t lanes) {
      const F p = load_lanes<S>(s.scores + i, lanes);
      const F d = S::sub(load_lanes<S>(s.d_p + i, lanes), S::mul(p, rest));
      store_lanes<S>(s.scores + i, lanes, S::mul(p, one_over_sum));
      store_lanes<S>(s.d_p + i, lanes, S::mul(d, one_over_sum));
    });
  }

  static double abs_sum(const float* x, std::int64_t count) {
    double total = 0.0;
    for (std::int64_t begin = 0; begin < count; begin += block) {
      const std::int64_t size = count - begin < block ? count - begin : block;
      F sum = S::set(0.0f);
      for_lanes<S>(size, [&](std::int64_t i, std::int64_t lanes) {
        sum = S::add(sum, S::abs(load_lanes<S>(x + begin + i, lanes)));
      });
      total += S::sum(sum);
    }
    return total;
  }

  static double abs_diff_sum(const float* x, const float* y, std::int64_t count) {
    double total = 0.0;
    for (std::int64_t begin = 0; begin < count; begin += block) {
      const std::int64_t size = count - begin < block ? count - begin : block;
      F sum = S::set(0.0f);
      for_lanes<S>(size, [&](std::int64_t i, std::int64_t lanes) {
        sum = S::add(sum, S::abs(S::sub(load_lanes<S>(x + begin + i, lanes),
                                        load_lanes<S>(y + begin + i, lanes))));
      });
      total += S::sum(sum);
    }
    return total;
  }
};

}  // namespace headspark
