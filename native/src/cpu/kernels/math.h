// Vector exp and the normal distribution function, and partial loads for the ends of arrays.
// Elements at an end go through the same instructions as the others, so position changes no bits.
#pragma once

#include <cstdint>

namespace headspark {

/// The first `count` (< width) values; the rest are `fill`.
template <typename S>
typename S::F load_part(const float* p, std::int64_t count, float fill = 0.0f) {
  if constexpr (requires { S::load_part(p, count, fill); }) {
    return S::load_part(p, count, fill);
  } else {
    float lanes[S::width];
    for (int i = 0; i < S::width; ++i) lanes[i] = i < count ? p[i] : fill;
    return S::load(lanes);
  }
}

template <typename S>
void store_part(float* p, std::int64_t count, typename S::F v) {
  if constexpr (requires { S::store_part(p, count, v); }) {
    S::store_part(p, count, v);
  } else {
    float lanes[S::width];
    S::store(lanes, v);
    for (std::int64_t i = 0; i < count; ++i) p[i] = lanes[i];
  }
}

/// Calls body(i, lanes) for whole vectors, then once for the rest.
template <typename S, typename Body>
void for_lanes(std::int64_t count, const Body& body) {
  std::int64_t i = 0;
  for (; i + S::width <= count; i += S::width) body(i, std::int64_t{S::width});
  if (i < count) body(i, count - i);
}

template <typename S>
typename S::F load_lanes(const float* p, std::int64_t lanes, float fill = 0.0f) {
  return lanes == S::width ? S::load(p) : load_part<S>(p, lanes, fill);
}

template <typename S>
void store_lanes(float* p, std::int64_t lanes, typename S::F v) {
  if (lanes == S::width) {
    S::store(p, v);
  } else {
    store_part<S>(p, lanes, v);
  }
}

/// e^x where it is a normal number (Cephes expf).
template <typename S>
typename S::F exp_between(typename S::F x) {
  using F = typename S::F;
  const F n = S::round(S::mul(x, S::set(1.44269504f)));
  // r = x - n ln 2, with ln 2 in two parts
  F r = S::fma(n, S::set(-0.693359375f), x);
  r = S::fma(n, S::set(2.12194440e-4f), r);
  F p = S::set(1.9875691500e-4f);
  p = S::fma(p, r, S::set(1.3981999507e-3f));
  p = S::fma(p, r, S::set(8.3334519073e-3f));
  p = S::fma(p, r, S::set(4.1665795894e-2f));
  p = S::fma(p, r, S::set(1.6666665459e-1f));
  p = S::fma(p, r, S::set(5.0000001201e-1f));
  return S::scale(S::add(S::fma(p, S::mul(r, r), r), S::set(1.0f)), n);
}

/// e^x within about one unit in the last place: 0 below the normal range, infinity above fp32, NaN
/// for NaN.
template <typename S>
typename S::F exp(typename S::F x) {
  using F = typename S::F;
  const F low = S::set(-87.33654f);  // ln of the smallest normal
  const F high = S::set(88.72283f);  // ln of the largest fp32
  F p = exp_between<S>(S::max(low, S::min(high, x)));
  p = S::select(S::less(x, low), S::set(0.0f), p);
  p = S::select(S::less(high, x), S::set(__builtin_inff()), p);
  return S::select(S::less(x, S::set(__builtin_inff())), p, x);  // NaN and infinity come back
}

/// The same for x <= 0, or hardly more, where nothing overflows.
template <typename S>
typename S::F exp_of_negative(typename S::F x) {
  const typename S::F low = S::set(-87.33654f);
  const typename S::F p = exp_between<S>(S::max(low, x));  // max gives its second operand for NaN
  return S::select(S::less(x, low), S::set(0.0f), p);
}

/// sigmoid(x) and 1 - sigmoid(x), both to full relative accuracy.
template <typename S>
struct Sigmoid {
  typename S::F value;
  typename S::F rest;
};

template <typename S>
Sigmoid<S> sigmoid(typename S::F x) {
  using F = typename S::F;
  const F one = S::set(1.0f);
  const F e = exp_of_negative<S>(S::sub(S::set(0.0f), S::abs(x)));
  const F large = S::reciprocal(S::add(one, e));
  const F small = S::mul(e, large);
  const auto negative = S::less(x, S::set(0.0f));
  return {S::select(negative, small, large), S::select(negative, large, small)};
}

/// The distribution function of the standard normal, 0.5 erfc(-x / sqrt 2), with erfc from
/// Numerical Recipes, section 6.2 (erfcc): relative error below 1.2e-7 before rounding.
template <typename S>
typename S::F normal_cdf(typename S::F x) {
  using F = typename S::F;
  const F one = S::set(1.0f);
  const F z = S::mul(S::abs(x), S::set(0.70710678f));
  const F t = S::div(one, S::fma(z, S::set(0.5f), one));
  constexpr float coefficients[] = {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f,
                                    -0.18628806f, 0.09678418f, 0.37409196f,  1.00002368f};
  F p = S::set(0.17087277f);
  for (const float c : coefficients) p = S::fma(p, t, S::set(c));
  p = S::fma(p, t, S::set(-1.26551223f));
  const F half_tail = S::mul(S::mul(S::set(0.5f), t), exp<S>(S::sub(p, S::mul(z, z))));
  return S::select(S::less(x, S::set(0.0f)), half_tail, S::sub(one, half_tail));
}

}  // namespace headspark
