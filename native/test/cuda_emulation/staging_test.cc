// Copies from the host on a device that makes them as late as it may.
#include "cuda/staging.h"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "cuda_emulation/runtime_emulated.h"

namespace headspark::test {
namespace {

using namespace cuda;

/// A stream, and room for `floats` of them on the device.
struct Target {
  explicit Target(std::int64_t floats)
      : stream(create_stream()), memory(static_cast<float*>(try_allocate(4 * floats))) {}
  ~Target() {
    synchronize(stream);
    release(memory);
    destroy_stream(stream);
  }
  Stream stream;
  float* memory;
};

}  // namespace

TEST_CASE("staging: what was copied is what the host held at the call, and nothing waits") {
  constexpr int kCopies = 1000;
  Target target(kCopies);
  Staging staging;
  const std::int64_t waits = emulated_waits();
  for (int i = 0; i < kCopies; ++i) {
    float value = static_cast<float>(i);
    staging.copy(target.stream, target.memory + i, &value, sizeof value);
    value = -1.0f;  // a device that copies now has the wrong one
  }
  CHECK(emulated_waits() == waits);
  synchronize(target.stream);
  for (int i = 0; i < kCopies; ++i) REQUIRE(target.memory[i] == static_cast<float>(i));
}

TEST_CASE("staging: where its memory ends, it waits once and begins again") {
  constexpr std::int64_t kFloats = Staging::kLongest / 4;
  constexpr int kCopies = 2 * static_cast<int>(Staging::kBytes / Staging::kLongest) + 1;
  Target target(kCopies);
  Staging staging;
  std::vector<float> values(kFloats);
  Target row(kFloats);
  const std::int64_t waits = emulated_waits();
  for (int i = 0; i < kCopies; ++i) {
    values[kFloats - 1] = static_cast<float>(i);
    staging.copy(row.stream, row.memory, values.data(), Staging::kLongest);
    copy_on_device(row.stream, target.memory + i, row.memory + kFloats - 1, 4);
  }
  CHECK(emulated_waits() == waits + 2);
  for (int i = 0; i < kCopies; ++i) CHECK(target.memory[i] == static_cast<float>(i));
}

TEST_CASE("staging: long copies, and all where no memory can be pinned, are waited for") {
  constexpr std::int64_t kFloats = Staging::kLongest / 4 + 1;
  Target target(kFloats);
  std::vector<float> values(kFloats, 2.0f);
  Staging staging;
  std::int64_t waits = emulated_waits();
  staging.copy(target.stream, target.memory, values.data(), 4 * kFloats);
  values.assign(kFloats, 3.0f);
  CHECK(emulated_waits() == waits + 1);
  CHECK(target.memory[kFloats - 1] == 2.0f);

  Staging unpinned;
  refuse_pinned(true);
  waits = emulated_waits();
  unpinned.copy(target.stream, target.memory, values.data(), 8);
  refuse_pinned(false);
  CHECK(emulated_waits() == waits + 1);
  CHECK(target.memory[1] == 3.0f);
}

}  // namespace headspark::test
