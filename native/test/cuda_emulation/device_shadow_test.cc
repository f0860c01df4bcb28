// The shadow of device memory against accesses that are ordered and ones that are not.
#include "cuda_emulation/device_shadow.h"

#include <doctest/doctest.h>

#include "cuda_emulation/runtime_emulated.h"
#include "headspark/error.h"

using namespace headspark;
using namespace headspark::cuda_emulation;

namespace {

/// One launch of two warps a block, over a few floats of the device.
class Launch {
 public:
  Launch() : memory_(static_cast<float*>(cuda::try_allocate(64))) {
    shadow_.launch_begins(this, {{2, 1, 1}, 64, 0});
    next_block();
  }
  ~Launch() { cuda::release(memory_); }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  void read(int thread, int at = 0) { shadow_.access(thread, memory_ + at, 4, false, this); }
  void write(int thread, int at = 0) { shadow_.access(thread, memory_ + at, 4, true, this); }
  void read_constant(int thread) { shadow_.constant_read(thread, memory_, 4, this); }
  void copy(int thread) { shadow_.copy(thread, 0, memory_, 4, this); }
  void meet() { shadow_.block_met(); }
  void meet_in_warp(int warp) { shadow_.warp_synced(warp); }
  void next_block() { shadow_.block_begins(nullptr); }
  void next_launch() { shadow_.launch_begins(this, {{2, 1, 1}, 64, 0}); }
  bool races() const { return !shadow_.findings().empty(); }
  DeviceShadow& shadow() { return shadow_; }

 private:
  float* memory_;
  DeviceShadow shadow_;
};

}  // namespace

TEST_CASE("device shadow: threads of a block meet between a write and another's use") {
  Launch ordered;
  ordered.write(0);
  ordered.read(0);
  ordered.write(0);
  ordered.meet();
  ordered.read(33);
  ordered.read(34);
  ordered.copy(1);
  ordered.meet();
  ordered.write(2);
  CHECK(!ordered.races());

  Launch read;
  read.write(0);
  read.read(1);
  CHECK(read.races());

  Launch copied;
  copied.write(0);
  copied.copy(1);
  CHECK(copied.races());

  Launch written;
  written.write(0);
  written.write(1);
  CHECK(written.races());

  Launch overwritten;
  overwritten.read(0);
  overwritten.read(1);
  overwritten.write(1);
  CHECK(overwritten.races());
}

TEST_CASE("device shadow: a warp that met orders its own lanes alone") {
  Launch own;
  own.write(0);
  own.meet_in_warp(0);
  own.read(31);
  CHECK(!own.races());

  Launch other;
  other.write(0);
  other.meet_in_warp(0);
  other.meet_in_warp(1);
  other.read(32);
  CHECK(other.races());
}

TEST_CASE("device shadow: blocks of a launch have no order, launches have") {
  for (const bool first_writes : {false, true}) {
    CAPTURE(first_writes);
    Launch launch;
    first_writes ? launch.write(0) : launch.read(0);
    launch.meet();
    launch.next_block();
    first_writes ? launch.read(0) : launch.write(0);
    CHECK(launch.races());
  }
  Launch readers;
  readers.read(0);
  readers.next_block();
  readers.read(0);
  readers.next_launch();
  readers.next_block();
  readers.write(0);
  readers.next_launch();
  readers.next_block();
  readers.read(5);
  readers.write(5, 1);
  CHECK(!readers.races());
  // One of the blocks that read is the one that writes.
  readers.next_launch();
  readers.next_block();
  readers.read(0);
  readers.next_block();
  readers.read(0);
  readers.meet();
  readers.write(0);
  CHECK(readers.races());
}

TEST_CASE("device shadow: what is read as constant is not written in its launch") {
  Launch launch;
  launch.read_constant(0);
  launch.next_launch();
  launch.next_block();
  launch.write(0);
  CHECK(!launch.races());
  launch.meet();
  launch.read_constant(0);
  CHECK(launch.races());

  Launch later;
  later.read_constant(3);
  later.meet();
  later.write(3);
  CHECK(later.races());
}

TEST_CASE("device shadow: a launch that races ends with one sentence") {
  Launch launch;
  launch.write(0);
  launch.write(1);
  CHECK_THROWS_WITH_AS(launch.shadow().launch_ends(),
                       doctest::Contains("writes what was written by another thread of its block"),
                       Error);
  CHECK_NOTHROW(launch.shadow().launch_ends());
}

TEST_CASE("device shadow: memory that is not the device's is left out") {
  Launch launch;
  float own = 1.0f;
  launch.shadow().access(0, &own, 4, true, &own);
  launch.shadow().access(1, &own, 4, true, &own);
  CHECK(!launch.races());
}
