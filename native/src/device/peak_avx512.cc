// Fused multiply-adds on 16 lanes. 16 chains: two units, latency 4, and registers left over.
#include <immintrin.h>

#include "device/peak_kernel.h"

namespace headspark {
namespace {

constexpr int chains = 16;
constexpr int lanes = 16;

float burst(std::uint64_t rounds) {
  const __m512 scale = _mm512_set1_ps(0.999f);
  const __m512 shift = _mm512_set1_ps(0.001f);
  __m512 sums[chains];
  for (int chain = 0; chain < chains; ++chain) {
    sums[chain] = _mm512_set1_ps(static_cast<float>(chain));
  }
  for (std::uint64_t round = 0; round < rounds; ++round) {
    for (__m512& sum : sums) sum = _mm512_fmadd_ps(sum, scale, shift);
  }
  __m512 total = _mm512_setzero_ps();
  for (const __m512& sum : sums) total = _mm512_add_ps(total, sum);
  alignas(64) float values[lanes];
  _mm512_store_ps(values, total);
  return values[0];
}

}  // namespace

PeakKernel peak_avx512() {
  return {burst, 2 * chains * lanes};
}

}  // namespace headspark
