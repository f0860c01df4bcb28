// The CPU backend, kernel levels, and what a build without CUDA says.
#include "headspark/backend.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "device/kept_memory.h"
#include "device/memory_text.h"
#include "headspark/buffer.h"
#include "headspark/context.h"
#include "headspark/error.h"
#include "headspark/host_array.h"
#include "headspark/ops/rows.h"

namespace headspark::test {
namespace {

/// Sets an environment variable for one scope.
class ScopedEnvironment {
 public:
  ScopedEnvironment(const char* name, const char* value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value, 1);
  }
  ~ScopedEnvironment() {
    if (old_.empty()) {
      unsetenv(name_);
    } else {
      setenv(name_, old_.c_str(), 1);
    }
  }

 private:
  const char* name_;
  std::string old_;
};

class FakeGpu final : public Backend {
 public:
  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string name() const override { return "a fake"; }
  std::int64_t available_bytes() override { return 0; }
  void plan(const MemoryPlan&) override {}
  void* allocate(std::int64_t) override { return nullptr; }
  void release(void*) noexcept override {}
  void copy_to_device(void*, const void*, std::int64_t) override {}
  void copy_to_host(void*, const void*, std::int64_t) override {}
  void zero(void*, std::int64_t) override {}
};

}  // namespace

TEST_CASE("sizes in messages are rounded up, and small ones are not 1 MiB") {
  CHECK(memory_text(0) == "0 MiB");
  CHECK(memory_text(1024) == "1 KiB");
  CHECK(memory_text(1025) == "2 KiB");
  CHECK(memory_text(1 << 20) == "1 MiB");
  CHECK(memory_text((1 << 20) + 1) == "2 MiB");
  CHECK(memory_text(std::int64_t{23} << 30) == "23.0 GiB");
}

TEST_CASE("CPU buffers are aligned, zeroed on request, and copy both ways") {
  const auto backend = make_cpu_backend();
  const std::vector<float> values = {1.0f, 2.0f, 3.0f};
  Buffer<float> buffer(backend, std::span<const float>(values));
  CHECK(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
  CHECK(buffer.to_host() == values);
  buffer.zero();
  CHECK(buffer.to_host() == std::vector<float>{0.0f, 0.0f, 0.0f});
  Buffer<float> moved = std::move(buffer);
  CHECK(moved.size() == 3);
  CHECK(Buffer<float>(backend, 0).empty());
}

TEST_CASE("a job's released buffers serve those that come after, and go back with the job") {
  constexpr std::int64_t kBytes = 6 << 20;  // large enough to be kept
  KeptMemory memory;
  const auto allocate = [&](std::int64_t bytes) {
    void* made = memory.try_allocate(bytes);
    REQUIRE(made != nullptr);
    std::memset(made, 1, static_cast<std::size_t>(bytes));
    return made;
  };
  memory.release(allocate(kBytes));
  CHECK(memory.bytes_kept() == 0);  // no job
  memory.begin();
  memory.begin();  // a job inside of a job
  void* first = allocate(kBytes);
  memory.release(first);
  CHECK(memory.bytes_kept() == kBytes);
  CHECK(allocate(kBytes - 1) == first);
  CHECK(memory.bytes_kept() == 0);
  memory.release(first);
  // Too large for a much smaller one; and no more is kept than was ever used at once.
  void* small = allocate(kBytes - (2 << 20));
  CHECK(small != first);
  CHECK(memory.bytes_kept() == 0);
  memory.release(small);
  memory.release(allocate(100));  // the C library's
  memory.release(nullptr);
  CHECK(memory.bytes_kept() == kBytes - (2 << 20));
  memory.end();
  CHECK(memory.bytes_kept() == kBytes - (2 << 20));
  memory.end();
  CHECK(memory.bytes_kept() == 0);
}

TEST_CASE("what is kept and used stays below what was used at once") {
  constexpr std::int64_t kMiB = 1 << 20;
  KeptMemory memory;
  memory.begin();
  std::vector<void*> at_once;
  for (int i = 0; i < 3; ++i) at_once.push_back(memory.try_allocate(8 * kMiB));
  for (void* one : at_once) memory.release(one);
  CHECK(memory.bytes_kept() == 24 * kMiB);
  void* large = memory.try_allocate(15 * kMiB);  // takes 16: what was unused for longest goes
  CHECK(memory.bytes_kept() == 8 * kMiB);
  CHECK(memory.try_allocate(8 * kMiB) == at_once.back());
  memory.release(at_once.back());
  memory.release(large);
  memory.end();
}

TEST_CASE("a CPU backend keeps buffers while a job says so") {
  const auto backend = make_cpu_backend();
  const float* first = nullptr;
  const BufferReuse reuse(backend);
  for (int i = 0; i < 3; ++i) {
    Buffer<float> buffer(backend, 2 << 20);
    buffer.zero();
    if (i > 0) CHECK(buffer.data() == first);
    first = buffer.data();
  }
}

TEST_CASE("an impossible buffer is an out-of-memory error that names its size") {
  const auto backend = make_cpu_backend();
  try {
    backend->allocate(std::int64_t{1} << 60);
    FAIL("allocated an exbibyte");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::OUT_OF_MEMORY);
    CHECK(std::string(error.what()).find("1152921504606846976") != std::string::npos);
  }
}

TEST_CASE("host arrays are aligned, move, and say what they cannot hold") {
  for (const std::int64_t count : {1, 100, 3 << 20}) {  // one page, and huge ones
    HostArray<float> array(count, "the values");
    CHECK(reinterpret_cast<std::uintptr_t>(array.data()) % 64 == 0);
    for (float& value : array) value = 2.0f;
    const float* const data = array.data();
    HostArray<float> moved = std::move(array);
    CHECK(array.empty());  // NOLINT: what a moved one is
    CHECK(moved.data() == data);
    CHECK(moved.size() == static_cast<std::size_t>(count));
    CHECK(moved[moved.size() - 1] == 2.0f);
    moved = HostArray<float>();
    CHECK(moved.empty());
  }
  CHECK(HostArray<float>(0, "nothing").data() == nullptr);
  for (const std::int64_t count : {std::int64_t{1} << 58, std::int64_t{1} << 62}) {
    CHECK_THROWS_WITH_AS(HostArray<float>(count, "the values"),
                         doctest::Contains("Could not allocate the values ("), Error);
  }
}

TEST_CASE("the CPU writes where the host reads") {
  float value = 0.0f;
  CHECK(make_cpu_backend()->in_place(&value) == &value);
  CHECK(FakeGpu().in_place(&value) == nullptr);
}

TEST_CASE("HEADSPARK_ISA chooses a level or is refused by name") {
  {
    const ScopedEnvironment env("HEADSPARK_ISA", "portable");
    CHECK(default_isa() == Isa::portable);
  }
  {
    const ScopedEnvironment env("HEADSPARK_ISA", "specification");
    CHECK(default_isa() == Isa::specification);
  }
  {
    const ScopedEnvironment env("HEADSPARK_ISA", "");
    CHECK(default_isa() == machine_isa());
  }
  {
    const ScopedEnvironment env("HEADSPARK_ISA", "sse9");
    CHECK_THROWS_WITH_AS(default_isa(), doctest::Contains("sse9"), Error);
  }
  if (machine_isa() < Isa::amx) {
    const ScopedEnvironment env("HEADSPARK_ISA", "amx");
    CHECK_THROWS_WITH_AS(default_isa(), doctest::Contains("amx"), Error);
    CHECK_THROWS_AS(make_cpu_context(1, Isa::amx), Error);
  }
}

TEST_CASE("levels have names") {
  CHECK(std::string(isa_name(Isa::specification)) == "specification");
  CHECK(std::string(isa_name(Isa::avx512)) == "avx512");
}

TEST_CASE("a GPU that is not there is refused in one sentence") {
  CHECK_THROWS_WITH_AS(make_cuda_backend(99),
                       doctest::Contains("CUDA device 99 was asked for, but"), Error);
  Context context = make_cpu_context(1, Isa::specification);
  context.backend = std::make_shared<FakeGpu>();
  float x[1] = {};
  try {
    combine(context, {1, 1.0f, x, 1.0f, x});
    FAIL("ran without a backend");
  } catch (const Error& error) {
    // Builds with CUDA see that the fake is none of theirs, the others that there is no CUDA.
    const bool stub = error.code() == ErrorCode::DEVICE;
    CHECK((stub || error.code() == ErrorCode::INTERNAL));
    CHECK(std::string(error.what()).find(stub ? "combine" : "no CUDA device") != std::string::npos);
  }
}

}  // namespace headspark::test
