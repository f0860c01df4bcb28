// Four fp32 lanes by the compiler's vector extension (gcc and clang, any processor whose numbers
// lie in memory lowest byte first). On arm64, which has no level of its own, products are fused.
#pragma once

#include <cstdint>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace headspark::portable {

typedef float Lanes __attribute__((vector_size(16)));

#if defined(__aarch64__)
constexpr int kTileRows = 5;  // 5 x 16 outputs: 20 accumulators of 32 registers; gcc spills 24
constexpr int kRowPanels = 2;
constexpr int kDestinations = 7;
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return vfmaq_f32(c, a, b);
}
#else
constexpr int kTileRows = 2;  // 2 x 16 outputs: 8 accumulators of the 16 SSE registers
constexpr int kRowPanels = 1;
constexpr int kDestinations = 2;
inline Lanes multiply_add(Lanes a, Lanes b, Lanes c) {
  return a * b + c;
}
#endif

struct Simd {
  static constexpr int width = 4;
  static constexpr int tile_rows = kTileRows;
  static constexpr int tile_panels = 1;
  static constexpr int row_panels = kRowPanels;
  static constexpr int expand_rows = 4;  // below, pairs are expanded in registers
  static constexpr int contraction_columns = kDestinations;
  using F = Lanes;
  typedef std::int32_t I __attribute__((vector_size(16)));
  using Mask = I;

  static F set(float x) { return F{x, x, x, x}; }
  static F load(const float* p) {
    F v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
  }
  static void stream(float* p, F v) { store(p, v); }
  static void fence() {}
  static void store(float* p, F v) { __builtin_memcpy(p, &v, sizeof v); }
  static F load_bf16(const std::uint16_t* p) {
    std::uint16_t __attribute__((vector_size(8))) bits;
    __builtin_memcpy(&bits, p, sizeof bits);
    return as_float(__builtin_convertvector(bits, I) << 16);
  }
  // A lane holds an even depth below the odd one.
  static void load_pairs(const std::uint16_t* p, F& even, F& odd) {
    I pairs;
    __builtin_memcpy(&pairs, p, sizeof pairs);
    even = as_float(pairs << 16);
    odd = as_float(pairs & ~0xffff);
  }
  static F in_register(F v) { return v; }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return multiply_add(a, b, c); }
  // The second operand when one is NaN, as the x86 instructions do.
  static F min(F a, F b) { return select(a < b, a, b); }
  static F max(F a, F b) { return select(a > b, a, b); }
  static Mask less(F a, F b) { return a < b; }
  static F select(Mask mask, F a, F b) {
    return as_float((as_integer(a) & mask) | (as_integer(b) & ~mask));
  }
  static F abs(F a) { return as_float(as_integer(a) & 0x7fffffff); }
  // For |a| < 2^22: adding 1.5 * 2^23 leaves the nearest integer.
  static F round(F a) {
    const F magic = set(12582912.0f);
    return (a + magic) - magic;
  }
  // 2^n for integral n in [-126, 127].
  static F exp2_integral(F n) { return as_float((__builtin_convertvector(n, I) + 127) << 23); }
  // a 2^n for integral n, in two steps: n may be 128.
  static F scale(F a, F n) {
    const F half = round(mul(n, set(0.5f)));
    return mul(mul(a, exp2_integral(half)), exp2_integral(sub(n, half)));
  }
  static F reciprocal(F a) { return div(set(1.0f), a); }
  // Halves onto halves, as the x86 levels do.
  static float sum(F v) {
    for (int half = width / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) v[i] += v[i + half];
    }
    return v[0];
  }
  static float largest(F v) {
    for (int half = width / 2; half > 0; half /= 2) {
      for (int i = 0; i < half; ++i) v[i] = v[i] > v[i + half] ? v[i] : v[i + half];
    }
    return v[0];
  }
  // out[c * stride + r] = rows[r][k + c], of transpose_width rows and transpose_depths depths.
  static constexpr int transpose_width = 4;
  static constexpr int transpose_depths = 4;
  static void transpose(const float* const* rows, std::int64_t k, float* out, std::int64_t stride) {
    for (int c = 0; c < 4; ++c) {
      for (int r = 0; r < 4; ++r) out[c * stride + r] = rows[r][k + c];
    }
  }

 private:
  static F as_float(I bits) { return reinterpret_cast<F>(bits); }
  static I as_integer(F value) { return reinterpret_cast<I>(value); }
};

}  // namespace headspark::portable
