// The counts against patterns whose cost the CUDA guides state.
#include "cuda_emulation/access_counts.h"

#include <doctest/doctest.h>

#include <functional>

#include "cuda_emulation/runtime_emulated.h"

using namespace headspark;
using namespace headspark::cuda_emulation;

namespace {

constexpr int kFloats = 4096;

/// One launch of one warp whose lanes make one access each.
class OneWarp {
 public:
  OneWarp() : memory_(cuda::try_allocate(kFloats * 4)), shared_(kFloats) {
    counts_.launch_begins(this, {{}, 32, kFloats * 4});
    counts_.block_begins(reinterpret_cast<const unsigned char*>(shared_.data()));
  }
  ~OneWarp() { cuda::release(memory_); }
  OneWarp(const OneWarp&) = delete;
  OneWarp& operator=(const OneWarp&) = delete;

  /// Lane i of the first `lanes` reads `bytes` from float(i) on.
  void read(bool shared, int lanes, std::size_t bytes, const std::function<int(int)>& at) {
    const float* const from = shared ? shared_.data() : static_cast<const float*>(memory_);
    for (int lane = 0; lane < lanes; ++lane) {
      counts_.access(lane, from + at(lane), bytes, false, this);
    }
  }
  void meet() { counts_.warp_met(0); }
  AccessCounts& counts() { return counts_; }
  /// Of the only access so far.
  SiteCounts site() {
    meet();
    const auto& sites = counts_.kernels().at(this).sites;
    REQUIRE(sites.size() == 1);
    return sites.begin()->second;
  }
  static SiteCounts of(bool shared, std::size_t bytes, const std::function<int(int)>& at) {
    OneWarp warp;
    warp.read(shared, 32, bytes, at);
    return warp.site();
  }

 private:
  void* memory_;
  std::vector<float> shared_;
  AccessCounts counts_;
};

void check(const SiteCounts& counts, std::int64_t units, std::int64_t needed) {
  CHECK(counts.warps == 1);
  CHECK(counts.units == units);
  CHECK(counts.needed == needed);
}

}  // namespace

TEST_CASE("access counts: sectors of device memory") {
  check(OneWarp::of(false, 4, [](int lane) { return lane; }), 4, 4);
  check(OneWarp::of(false, 4, [](int lane) { return 31 - lane; }), 4, 4);
  check(OneWarp::of(false, 4, [](int) { return 5; }), 1, 1);
  check(OneWarp::of(false, 4, [](int lane) { return 2 * lane; }), 8, 4);
  check(OneWarp::of(false, 4, [](int lane) { return 8 * lane; }), 32, 4);
  check(OneWarp::of(false, 4, [](int lane) { return lane + 1; }), 5, 4);
  check(OneWarp::of(false, 16, [](int lane) { return 4 * lane; }), 16, 16);
}

TEST_CASE("access counts: wavefronts of shared memory") {
  check(OneWarp::of(true, 4, [](int lane) { return lane; }), 1, 1);
  check(OneWarp::of(true, 4, [](int) { return 7; }), 1, 1);
  check(OneWarp::of(true, 4, [](int lane) { return 2 * lane; }), 2, 1);
  check(OneWarp::of(true, 4, [](int lane) { return 32 * lane; }), 32, 1);
  check(OneWarp::of(true, 4, [](int lane) { return 33 * lane; }), 1, 1);
  check(OneWarp::of(true, 2, [](int lane) { return lane / 2; }), 1, 1);
  check(OneWarp::of(true, 8, [](int lane) { return 2 * lane; }), 2, 2);
  check(OneWarp::of(true, 16, [](int lane) { return 4 * lane; }), 4, 4);
}

TEST_CASE("access counts: rows of ldmatrix") {
  const auto rows_apart = [](std::size_t bytes) {
    OneWarp warp;
    const auto row = [&](int lane) { return static_cast<std::size_t>(lane) * bytes; };
    for (int lane = 0; lane < 32; ++lane) warp.counts().matrix_row(lane, row(lane), nullptr);
    return warp.site();
  };
  check(rows_apart(16), 4, 4);
  check(rows_apart(80), 4, 4);
  check(rows_apart(64), 16, 4);
  check(rows_apart(128), 32, 4);
}

TEST_CASE("access counts: a copy reads and writes") {
  OneWarp warp;
  std::vector<float> elsewhere(128);
  for (int lane = 0; lane < 32; ++lane) {
    warp.counts().copy(lane, 16 * static_cast<std::size_t>(lane), &elsewhere[4 * lane], 16, &warp);
  }
  warp.meet();
  const auto& sites = warp.counts().kernels().at(&warp).sites;
  CHECK(sites.at({&warp, true, true}).units == 4);
  CHECK(sites.at({&warp, false, false}).bytes == 512);
}

TEST_CASE("access counts: lanes are brought together where they meet") {
  OneWarp warp;
  // The upper half goes round once, the lower twice; then all read together.
  const auto own = [](int lane) { return lane; };
  warp.read(false, 32, 4, own);
  warp.read(false, 16, 4, own);
  warp.meet();
  warp.read(false, 32, 4, own);
  const SiteCounts site = warp.site();
  CHECK(site.warps == 3);
  CHECK(site.lanes == 80);
  CHECK(site.units == 4 + 2 + 4);
}

TEST_CASE("access counts: a block that reads again takes its sectors once") {
  OneWarp warp;
  for (int round = 0; round < 3; ++round) warp.read(false, 32, 4, [](int lane) { return lane; });
  warp.counts().block_ends();
  warp.counts().launch_ends();
  const KernelCounts& kernel = warp.counts().kernels().at(&warp);
  CHECK(kernel.blocks == 1);
  CHECK(kernel.block_sectors == 4);
  CHECK(kernel.launch_sectors == 4);
  CHECK(kernel.sites.begin()->second.units == 12);
}

TEST_CASE("access counts: what is neither shared nor the device's is left out") {
  OneWarp warp;
  const float own = 1.0f;
  warp.counts().access(0, &own, 4, false, &own);
  warp.meet();
  CHECK(warp.counts().kernels().at(&warp).sites.empty());
}
