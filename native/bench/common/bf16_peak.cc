// bf16 peaks: AMX tiles (Intel SDM vol. 1, chapter 18) or AVX-512's dot products. Compiled by
// target attributes, so that the programs start on every x86 machine.
#include "common/bf16_peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "headspark/device.h"

#if defined(__x86_64__) && defined(__linux__) && (defined(__GNUC__) || defined(__clang__))
#define HEADSPARK_BENCH_BF16 1
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace headspark::bench {
namespace {

/// A burst returns the operations it did.
using Burst = double (*)();

#ifdef HEADSPARK_BENCH_BF16

constexpr int rounds = 20000;

__attribute__((target("avx512f,avx512bf16"))) double dot_burst() {
  constexpr int chains = 16;  // two units, latency up to 6, and registers left over
  __m512 sums[chains];
  for (int c = 0; c < chains; ++c) sums[c] = _mm512_set1_ps(static_cast<float>(c));
  const auto ones = (__m512bh)_mm512_set1_epi16(0x3f80);
  for (int round = 0; round < rounds; ++round) {
    for (__m512& sum : sums) sum = _mm512_dpbf16_ps(sum, ones, ones);
    // Without this the compiler may add up the rounds by itself.
    for (__m512& sum : sums) asm volatile("" : "+v"(sum));
  }
  return 2.0 * 32 * chains * rounds;
}

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

/// Asks the kernel for tile registers; false where it has none to give.
bool tiles_allowed() {
  constexpr int request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int tile_data = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

__attribute__((target("amx-tile,amx-bf16"))) double tile_burst() {
  TileConfig config;
  for (int tile = 0; tile < 8; ++tile) {
    config.rows[tile] = 16;
    config.row_bytes[tile] = 64;
  }
  // GCC 12 takes the configuration for unread and drops the stores above without this.
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (int round = 0; round < rounds; ++round) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return 4.0 * 2 * 16 * 16 * 32 * rounds;
}

Burst best_burst(const char*& instruction) {
  const CpuFeatures& features = cpu_features();
  if (features.amx_tile && features.amx_bf16 && tiles_allowed()) {
    instruction = "TDPBF16PS";
    return tile_burst;
  }
  if (features.avx512f && features.avx512_bf16) {
    instruction = "VDPBF16PS";
    return dot_burst;
  }
  return nullptr;
}

#else

Burst best_burst(const char*&) {
  return nullptr;
}

#endif

}  // namespace

Bf16Peak measure_bf16_peak(const Context& context, double milliseconds) {
  using Clock = std::chrono::steady_clock;
  Bf16Peak peak;
  const Burst burst = best_burst(peak.instruction);
  if (burst == nullptr) return peak;
  const std::int64_t threads = context.threads->threads();
  std::vector<double> best(static_cast<std::size_t>(threads), 0.0);
  const auto start = Clock::now();
  const auto since = [](Clock::time_point point) {
    return std::chrono::duration<double>(Clock::now() - point).count();
  };
  context.threads->parallel_for(threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double& fastest = best[static_cast<std::size_t>(i)];
      do {
        const auto before = Clock::now();
        const double operations = burst();
        fastest = std::max(fastest, operations / since(before));
      } while (since(start) * 1e3 < milliseconds);
    }
  });
  for (const double rate : best) peak.gflops += rate * 1e-9;
  return peak;
}

}  // namespace headspark::bench
