// The arithmetic of the emulated tensor core.
#include "cuda_emulation/tensor_core.h"

#include <cmath>
#include <cstring>

#include "cuda_emulation/block.h"
#include "headspark/dtype.h"

namespace headspark::cuda_emulation {
namespace {

constexpr std::size_t kSlot = Block::kSlotBytes;

std::uint16_t element(const unsigned char* in, int matrix, int row, int column) {
  std::uint16_t value;
  std::memcpy(&value, in + static_cast<std::size_t>(matrix * 8 + row) * kSlot + 2 * column, 2);
  return value;
}

template <typename Element>
void distribute(unsigned char* out, const Element& value) {
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    std::uint32_t r[4];
    for (int m = 0; m < 4; ++m) {
      const std::uint32_t low = value(m, lane / 4, 2 * (lane % 4));
      const std::uint32_t high = value(m, lane / 4, 2 * (lane % 4) + 1);
      r[m] = low | (high << 16);
    }
    std::memcpy(out + static_cast<std::size_t>(lane) * kSlot, r, sizeof r);
  }
}

double half_of(std::uint32_t pair, int which) {
  return bf16_to_f32(static_cast<std::uint16_t>(which == 0 ? pair & 0xffffu : pair >> 16));
}

// To fp32, towards zero.
float cut_off(double value) {
  const float nearest = static_cast<float>(value);
  if (std::fabs(static_cast<double>(nearest)) <= std::fabs(value) || !std::isfinite(value)) {
    return nearest;
  }
  return bits_to_f32(f32_to_bits(nearest) - 1);  // of either sign: it is not zero
}

constexpr int kColumns = 8;
constexpr int kDepthsAtOnce = 8;

// sums[column] += x[k] * y[k][column] of eight depths, in order, then cut off.
void add_products(float* sums, const double* x, const double (*y)[kColumns]) {
  double exact[kColumns];
  for (int column = 0; column < kColumns; ++column) exact[column] = sums[column];
  for (int k = 0; k < kDepthsAtOnce; ++k) {
    for (int column = 0; column < kColumns; ++column) exact[column] += x[k] * y[k][column];
  }
  for (int column = 0; column < kColumns; ++column) sums[column] = cut_off(exact[column]);
}

}  // namespace

void distribute_rows(const unsigned char* in, unsigned char* out) {
  distribute(out, [in](int matrix, int g, int t) { return element(in, matrix, g, t); });
}

void distribute_columns(const unsigned char* in, unsigned char* out) {
  distribute(out, [in](int matrix, int g, int t) { return element(in, matrix, t, g); });
}

void multiply_16x8x16(const unsigned char* in, unsigned char* out) {
  double a[16][16];
  double b[16][kColumns];
  float c[16][kColumns];
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    MmaOperands r;
    std::memcpy(&r, in + static_cast<std::size_t>(lane) * kSlot, sizeof r);
    const int g = lane / 4;
    const int t = 2 * (lane % 4);
    for (int half = 0; half < 2; ++half) {
      a[g][t + half] = half_of(r.a[0], half);
      a[g + 8][t + half] = half_of(r.a[1], half);
      a[g][t + 8 + half] = half_of(r.a[2], half);
      a[g + 8][t + 8 + half] = half_of(r.a[3], half);
      b[t + half][g] = half_of(r.b[0], half);
      b[t + 8 + half][g] = half_of(r.b[1], half);
      c[g][t + half] = r.c[half];
      c[g + 8][t + half] = r.c[2 + half];
    }
  }
  for (int row = 0; row < 16; ++row) {
    for (int k = 0; k < 16; k += kDepthsAtOnce) add_products(c[row], a[row] + k, b + k);
  }
  for (int lane = 0; lane < kWarpLanes; ++lane) {
    const int g = lane / 4;
    const int t = 2 * (lane % 4);
    const float r[4] = {c[g][t], c[g][t + 1], c[g + 8][t], c[g + 8][t + 1]};
    std::memcpy(out + static_cast<std::size_t>(lane) * kSlot, r, sizeof r);
  }
}

}  // namespace headspark::cuda_emulation
