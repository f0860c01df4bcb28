// Four fp32 lanes by the compiler's vector extension (gcc and clang, any processor).
#pragma once

#include <cstdint>

#include "headspark/dtype.h"

namespace headspark::portable {

struct Simd {
  static constexpr int width = 4;
  static constexpr int tile_rows = 2;  // 8 accumulators of 16 SSE registers
  static constexpr int tile_panels = 1;
  typedef float F __attribute__((vector_size(16)));
  typedef std::int32_t I __attribute__((vector_size(16)));
  using Mask = I;

  static F set(float x) { return F{x, x, x, x}; }
  static F load(const float* p) {
    F v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  static void store(float* p, F v) { __builtin_memcpy(p, &v, sizeof v); }
  static F load_bf16(const std::uint16_t* p) {
    I bits{p[0], p[1], p[2], p[3]};
    bits = bits << 16;
    return reinterpret_cast<F>(bits);
  }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return a * b + c; }
  // The second operand when one is NaN, as the x86 instructions do.
  static F min(F a, F b) { return select(a < b, a, b); }
  static F max(F a, F b) { return select(a > b, a, b); }
  static Mask less(F a, F b) { return a < b; }
  static F select(Mask mask, F a, F b) {
    const I x = reinterpret_cast<I>(a);
    const I y = reinterpret_cast<I>(b);
    const I chosen = (x & mask) | (y & ~mask);
    return reinterpret_cast<F>(chosen);
  }
  static F abs(F a) {
    const I bits = reinterpret_cast<I>(a) & 0x7fffffff;
    return reinterpret_cast<F>(bits);
  }
  // For |a| < 2^22: adding 1.5 * 2^23 leaves the nearest integer.
  static F round(F a) {
    const F magic = set(12582912.0f);
    return (a + magic) - magic;
  }
  // 2^n for integral n in [-126, 127].
  static F exp2_integral(F n) {
    const I biased = __builtin_convertvector(n, I) + 127;
    const I bits = biased << 23;
    return reinterpret_cast<F>(bits);
  }
  static float sum(F v) { return (v[0] + v[2]) + (v[1] + v[3]); }
  static float largest(F v) {
    const float a = v[0] > v[2] ? v[0] : v[2];
    const float b = v[1] > v[3] ? v[1] : v[3];
    return a > b ? a : b;
  }
  // 4 x 4: columns[c * stride + r] = rows[r][c].
  static constexpr int transpose_width = 4;
  static void transpose(const float* const* rows, std::int64_t k, float* out, std::int64_t stride) {
    for (int c = 0; c < 4; ++c) {
      for (int r = 0; r < 4; ++r) out[c * stride + r] = rows[r][k + c];
    }
  }
};

}  // namespace headspark::portable
