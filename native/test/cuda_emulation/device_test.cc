// The host half of the CUDA backend on the emulated device: the caching allocator, the copies of
// weights, what is said when memory runs out, and the probe.
#include "cuda/device.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <thread>

#include "cuda_emulation/runtime_emulated.h"
#include "headspark/buffer.h"
#include "headspark/device.h"
#include "headspark/error.h"
#include "headspark/ops/rotary.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

using namespace cuda;

constexpr std::int64_t kMebibyte = 1 << 20;

/// A device of this size for one scope.
class ScopedMemory {
 public:
  explicit ScopedMemory(std::int64_t bytes) { set_emulated_memory(bytes); }
  ~ScopedMemory() { set_emulated_memory(std::int64_t{4} << 30); }
};

/// Counts what the cache copies, into host memory. On a device reads of a matrix and the next use
/// of its memory are in the order of one stream; here they take turns.
class CountingMemory final : public WeightMemory {
 public:
  Stream stream() override { return nullptr; }
  void* allocate(std::int64_t bytes) override {
    return ::operator new(static_cast<std::size_t>(bytes));
  }
  void release(void* memory) noexcept override {
    const std::lock_guard lock(mutex_);
    ::operator delete(memory);
  }
  void copy(void* device, const void* host, std::int64_t bytes) override {
    if (fails) throw Error(ErrorCode::DEVICE, "The device copies nothing now.");
    std::memcpy(device, host, static_cast<std::size_t>(bytes));
    ++copies;
  }
  std::vector<float> floats_of(const DeviceMatrix& matrix) {
    const std::lock_guard lock(mutex_);
    const auto* data = static_cast<const float*>(matrix.data);
    return {data, data + matrix.rows * matrix.cols};
  }
  int copies = 0;
  bool fails = false;

 private:
  std::mutex mutex_;
};

}  // namespace

TEST_CASE("memory pool: blocks are apart, aligned, used again, and given back by trim") {
  const std::int64_t before = emulated_bytes_in_use();
  MemoryPool pool;
  Random random(5);
  struct Taken {
    char* memory;
    std::int64_t bytes;
    char mark;
  };
  std::vector<Taken> taken;
  for (int step = 0; step < 3000; ++step) {
    if (taken.empty() || random.below(5) < 3) {
      const std::int64_t bytes = 1 + random.below(step % 7 == 0 ? 3 * kMebibyte : 4000);
      auto* const memory = static_cast<char*>(pool.try_allocate(bytes));
      REQUIRE(memory != nullptr);
      CHECK(reinterpret_cast<std::uintptr_t>(memory) % 256 == 0);
      taken.push_back({memory, bytes, static_cast<char>(step)});
      std::memset(memory, taken.back().mark, static_cast<std::size_t>(bytes));
    } else {
      const auto at = taken.begin() + random.below(static_cast<std::int64_t>(taken.size()));
      const bool whole =
          std::all_of(at->memory, at->memory + at->bytes, [&](char c) { return c == at->mark; });
      CHECK(whole);
      pool.release(at->memory);
      taken.erase(at);
    }
  }
  for (const Taken& block : taken) pool.release(block.memory);
  CHECK(pool.bytes_in_use() == 0);
  CHECK(pool.bytes_cached() == emulated_bytes_in_use() - before);
  const std::int64_t cached = pool.bytes_cached();
  for (int repeat = 0; repeat < 10; ++repeat) pool.release(pool.try_allocate(kMebibyte * 2));
  CHECK(pool.bytes_cached() == cached);  // from what is there
  pool.trim();
  CHECK(pool.bytes_cached() == 0);
  CHECK(emulated_bytes_in_use() == before);
}

TEST_CASE("memory pool: a full device gets what is cached, whole segments or not") {
  const ScopedMemory memory(emulated_bytes_in_use() + 100 * kMebibyte);
  MemoryPool pool;
  void* const first = pool.try_allocate(60 * kMebibyte);
  REQUIRE(first != nullptr);
  CHECK(pool.try_allocate(60 * kMebibyte) == nullptr);
  void* const small = pool.try_allocate(64);
  pool.release(first);
  void* const second = pool.try_allocate(90 * kMebibyte);  // needs the first's segment back
  CHECK(second != nullptr);
  pool.release(second);
  void* const third = pool.try_allocate(20 * kMebibyte);
  CHECK(third != nullptr);
  CHECK(pool.bytes_in_use() == 20 * kMebibyte + 512);
  pool.release(third);
  pool.release(small);
}

TEST_CASE("weight cache: a matrix is copied once per owner, strides resolved") {
  CountingMemory memory;
  WeightCache cache(memory);
  const std::vector<float> data = Random(2).values(6 * 8);
  const auto owner = std::make_shared<int>(1);
  WeightView plain = contiguous_view(data.data(), DType::f32, 6, 8);
  plain.owner = owner;
  const DeviceMatrix copied = cache.matrix(plain, plain.owner);
  CHECK(memory.floats_of(copied) == data);
  CHECK(cache.matrix(plain, plain.owner).data == copied.data);
  CHECK(cache.uploads() == 1);

  WeightView transposed = plain;  // GPT-2
  transposed.rows = 8;
  transposed.cols = 6;
  transposed.row_stride = transposed.group_stride = 1;
  transposed.col_stride = 8;
  WeightView grouped = plain;  // GPT-NeoX: two rows of every three
  grouped.rows = 4;
  grouped.row_group = 2;
  grouped.row_stride = 8;
  grouped.group_stride = 24;
  for (const WeightView& view : {transposed, grouped}) {
    std::vector<float> expected;
    for (std::int64_t row = 0; row < view.rows; ++row) {
      for (std::int64_t col = 0; col < view.cols; ++col) expected.push_back(view.at(row, col));
    }
    CHECK(memory.floats_of(cache.matrix(view, view.owner)) == expected);
  }
  CHECK(cache.uploads() == 3);
  CHECK(cache.bytes() == (48 + 48 + 32) * 4);
}

TEST_CASE("weight cache: the terms of a matrix beside the matrix itself") {
  CountingMemory memory;
  WeightCache cache(memory);
  const std::vector<float> data = Random(2).values(6 * 8);
  // The largest and the smallest of each type, and values that need every bit.
  const std::vector<std::uint16_t> halves{0x3c01, 0xc400, 0x0001, 0x7bff, 0x0000, 0x87ff};
  const std::vector<float> edges{0x1.fffffep+100f, -0x1.aaaaaap-90f, 0x1p-126f, 0.0f, -0.0f, 1.0f};
  const auto owner = std::make_shared<int>(1);
  WeightView plain = contiguous_view(data.data(), DType::f32, 6, 8);
  WeightView transposed = plain;
  transposed.rows = 8;
  transposed.cols = 6;
  transposed.row_stride = transposed.group_stride = 1;
  transposed.col_stride = 8;
  const WeightView half = contiguous_view(halves.data(), DType::f16, 2, 3);
  const WeightView edge = contiguous_view(edges.data(), DType::f32, 3, 2);
  for (WeightView view : {plain, transposed, half, edge}) {
    view.owner = owner;
    const int all_bits = product_terms(view.dtype, Precision::exact);
    CHECK(all_bits == (view.dtype == DType::f16 ? 2 : 3));
    for (const int terms : {product_terms(view.dtype, Precision::fast), all_bits}) {
      const DeviceTerms split = cache.terms(view, view.owner, terms);
      CHECK(split.terms == terms);
      CHECK(split.rows == view.rows);
      CHECK(split.cols == view.cols);
      for (std::int64_t at = 0; at < view.rows * view.cols; ++at) {
        const float value = view.at(at / view.cols, at % view.cols);
        CHECK(split.data[at] == f32_to_bf16(value));
        float sum = 0.0f;
        for (int term = terms - 1; term >= 0; --term) {
          sum += bf16_to_f32(split.data[term * split.term_stride() + at]);
        }
        if (terms > 1) CHECK(sum == value);
      }
      CHECK(cache.terms(view, view.owner, terms).data == split.data);
      CHECK(cache.matrix(view, view.owner).data != static_cast<const void*>(split.data));
    }
    CHECK(cache.matrix(view, view.owner).dtype == view.dtype);
  }
  CHECK(cache.uploads() == 4 * 3);

  WeightView narrow = contiguous_view(halves.data(), DType::bf16, 2, 3);
  narrow.owner = owner;
  CHECK(product_terms(DType::bf16, Precision::exact) == 1);
  CHECK(cache.terms(narrow, owner, 1).data == cache.matrix(narrow, owner).data);
  CHECK(cache.uploads() == 4 * 3 + 1);
}

TEST_CASE("weight cache: terms of a matrix of several pieces, the last one shorter") {
  CountingMemory memory;
  WeightCache cache(memory);
  const std::int64_t rows = 3;
  const std::int64_t cols = (std::int64_t{5} << 20) / 2;  // of 16 MiB pieces: one row each
  std::vector<std::uint16_t> data(static_cast<std::size_t>(2 * rows * cols));
  for (std::size_t i = 0; i < data.size(); i += 1001) data[i] = 0x3c01;
  const auto owner = std::make_shared<int>(1);
  const WeightView view = contiguous_view(data.data(), DType::f16, rows, 2 * cols);
  const DeviceTerms split = cache.terms(view, owner, 2);
  CHECK(memory.copies == 3);
  bool right = true;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const bool there = data[i] != 0;
    right = right && split.data[i] == (there ? 0x3f80 : 0) &&
            split.data[data.size() + i] == (there ? f32_to_bf16(0x1p-10f) : 0);
  }
  CHECK(right);
}

TEST_CASE("weight cache: what is made of a matrix is made once per owner") {
  CountingMemory memory;
  WeightCache cache(memory);
  const std::vector<float> data = Random(2).values(6);
  auto owner = std::make_shared<int>(1);
  WeightView view = contiguous_view(data.data(), DType::f32, 2, 3);
  int made = 0;
  const auto fill = [&](std::uint16_t* to) { to[++made] = 7; };
  const auto bits_of = [&] {
    view.owner = owner;
    const DeviceMatrix matrix = cache.made(view, {1, 2, 4}, fill);
    CHECK(matrix.dtype == DType::bf16);
    CHECK(matrix.rows == 2);
    CHECK(matrix.cols == 4);
    const auto* const bits = static_cast<const std::uint16_t*>(matrix.data);
    return std::vector<std::uint16_t>(bits, bits + 8);
  };
  CHECK(bits_of() == std::vector<std::uint16_t>{0, 7, 0, 0, 0, 0, 0, 0});
  CHECK(bits_of() == std::vector<std::uint16_t>{0, 7, 0, 0, 0, 0, 0, 0});
  CHECK(memory.floats_of(cache.matrix(view, view.owner)) == data);
  CHECK(cache.uploads() == 2);
  owner = std::make_shared<int>(2);
  CHECK(bits_of() == std::vector<std::uint16_t>{0, 0, 7, 0, 0, 0, 0, 0});
  CHECK(cache.uploads() == 3);
  // Of the same size in another form.
  const DeviceMatrix other = cache.made(view, {3, 2, 4}, fill);
  CHECK(static_cast<const std::uint16_t*>(other.data)[3] == 7);
  CHECK(bits_of()[2] == 7);
}

TEST_CASE("weight cache: another file at the same address is not taken for the first") {
  CountingMemory memory;
  WeightCache cache(memory);
  std::vector<float> data = Random(2).values(12);
  WeightView view = contiguous_view(data.data(), DType::f32, 3, 4);
  auto owner = std::make_shared<int>(1);
  view.owner = owner;
  cache.matrix(view, view.owner);
  owner = std::make_shared<int>(2);
  data[5] = 77.0f;
  view.owner = owner;
  CHECK(memory.floats_of(cache.matrix(view, view.owner)) == data);
  CHECK(cache.uploads() == 2);
  owner.reset();  // disposed
  cache.purge();
  CHECK(cache.bytes() == 0);
  // Nobody owns it: whatever stands there is copied at each use.
  data[6] = 78.0f;
  CHECK(memory.floats_of(cache.matrix(view, view.owner)) == data);
  data[6] = 79.0f;
  CHECK(memory.floats_of(cache.matrix(view, view.owner)) == data);
}

TEST_CASE("weight cache: vectors are copied when they change, and the oldest go") {
  CountingMemory memory;
  WeightCache cache(memory);
  std::vector<float> norm(100, 1.0f);
  const auto constant = [&](const std::vector<float>& values) {
    return static_cast<const float*>(
        cache.constant(values.data(), static_cast<std::int64_t>(values.size() * sizeof(float))));
  };
  const float* const device = constant(norm);
  CHECK(constant(norm) == device);
  CHECK(memory.copies == 1);
  norm[99] = 2.0f;
  CHECK(constant(norm)[99] == 2.0f);
  CHECK(memory.copies == 2);
  CHECK(constant({}) == nullptr);
  const std::vector<float> table(20 << 20, 0.5f);  // 80 MiB
  for (std::int64_t shift = 0; shift < 8; ++shift) {
    cache.constant(table.data() + shift, (std::int64_t{20} << 22) - 4 * shift);
  }
  CHECK(cache.bytes() <= std::int64_t{256} << 20);
  CHECK(constant(norm)[99] == 2.0f);
}

TEST_CASE(
    "weight cache: says when a copy was given back or written over, and keeps no half of one") {
  CountingMemory memory;
  WeightCache cache(memory);
  std::vector<float> norm(10, 1.0f);
  const auto constant = [&] { return static_cast<const float*>(cache.constant(norm.data(), 40)); };
  constant();
  auto owner = std::make_shared<int>(1);
  WeightView view = contiguous_view(norm.data(), DType::f32, 2, 5);
  view.owner = owner;
  cache.matrix(view, view.owner);
  constant();
  cache.matrix(view, view.owner);
  CHECK(cache.replaced() == 0);  // all of it is where it was
  norm[3] = 2.0f;
  memory.fails = true;
  CHECK_THROWS_AS(constant(), Error);
  memory.fails = false;
  CHECK(constant()[3] == 2.0f);
  CHECK(cache.replaced() == 1);
  owner = std::make_shared<int>(2);
  view.owner = owner;
  CHECK(memory.floats_of(cache.matrix(view, view.owner)) == norm);
  CHECK(cache.replaced() == 2);
  owner.reset();
  cache.purge();
  CHECK(cache.replaced() == 3);
  cache.clear();
  CHECK(cache.replaced() == 4);
}

TEST_CASE("weight cache: another thread may purge it meanwhile") {
  CountingMemory memory;
  WeightCache cache(memory);
  std::atomic<bool> done = false;
  std::thread purging([&] {
    while (!done) cache.purge();
  });
  const std::vector<float> values(64, 1.0f);
  for (std::int64_t i = 0; i < 2000; ++i) {
    const auto owner = std::make_shared<std::int64_t>(i);
    WeightView view = contiguous_view(values.data(), DType::f32, 1, 1 + i % 64);
    view.owner = owner;
    CHECK(memory.floats_of(cache.matrix(view, view.owner)).size() ==
          static_cast<std::size_t>(1 + i % 64));
  }
  done = true;
  purging.join();
  cache.clear();
  CHECK(cache.bytes() == 0);
}

TEST_CASE("weight cache: a rotary table is copied once for its passes, and each table for itself") {
  Context context = make_cpu_context(1, Isa::specification);
  context.backend = make_cuda_backend(0);
  const auto device = Device::get(0);
  const std::int64_t before = device->weights().uploads();
  const std::int32_t position[] = {1};
  const Buffer<std::int32_t> positions(context.backend, std::span(position));
  const auto turned = [&](const RotaryTable& table) {
    Buffer<float> x(context.backend, std::span<const float>(std::vector<float>{1.0f, 0.0f}));
    rotary_forward(context, {&table, positions.data(), 1, 1, 2, x.data()});
    return x.to_host();
  };
  const auto table_of = [](float cosine, float sine) {
    return RotaryTable{2, 1, std::vector<float>{1.0f, cosine}, std::vector<float>{0.0f, sine}};
  };
  const RotaryTable table = table_of(0.5f, 0.25f);
  const RotaryTable copy = table;
  CHECK(turned(table) == std::vector<float>{0.5f, 0.25f});
  CHECK(turned(table) == std::vector<float>{0.5f, 0.25f});
  CHECK(turned(copy) == std::vector<float>{0.5f, 0.25f});
  CHECK(device->weights().uploads() == before + 2);
  for (int i = 1; i < 20; ++i) {  // most of them where the one before was
    const auto sine = static_cast<float>(i);
    CHECK(turned(table_of(0.0f, sine)) == std::vector<float>{0.0f, sine});
  }
}

TEST_CASE("cuda backend: engines share a device, and its memory goes with the last of them") {
  const std::int64_t before = emulated_bytes_in_use();
  {
    const auto first = make_cuda_backend(0);
    const auto second = make_cuda_backend(0);
    CHECK(first->name() == "cuda:0 (emulated CUDA device)");
    const std::int64_t free = first->available_bytes();
    Buffer<float> buffer(first, std::span<const float>(std::vector<float>(1000, 2.5f)));
    CHECK(second->available_bytes() == free - 4096);  // rounded to 512
    CHECK(buffer.to_host() == std::vector<float>(1000, 2.5f));
    buffer.zero();
    CHECK(buffer.to_host() == std::vector<float>(1000, 0.0f));
    CHECK(emulated_bytes_in_use() > before);
  }
  CHECK(emulated_bytes_in_use() == before);
  CHECK_THROWS_WITH_AS(make_cuda_backend(3), doctest::Contains("has 1 GPU(s)"), Error);
}

TEST_CASE("cuda backend: out of memory says what was planned and what is there") {
  const auto backend = make_cuda_backend(0);
  const ScopedMemory memory(64 * kMebibyte);
  backend->plan({.weight_bytes = 7 * kMebibyte, .workspace_bytes = 40 * kMebibyte});
  try {
    backend->allocate(100 * kMebibyte);
    FAIL("allocated more than there is");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::OUT_OF_MEMORY);
    const std::string text = error.what();
    for (const char* part : {"cuda:0", "another 100 MiB", "7 MiB of weights", "40 MiB of workspace",
                             "of 64 MiB", "--memory"}) {
      CAPTURE(part);
      CHECK(text.find(part) != std::string::npos);
    }
  }
  CHECK_THROWS_AS(backend->allocate(-1), Error);
}

TEST_CASE("cuda probe: a GPU is usable, or one sentence says why not") {
  const GpuProbe probe = probe_gpus();
  REQUIRE(probe.gpus.size() == 1);
  CHECK(probe.gpus[0].problem.empty());
  CHECK(probe.gpus[0].memory_total_bytes == std::uint64_t{4} << 30);
  CHECK(probe.status == "1 GPU(s) found; the driver is for CUDA 13.0.");
  DeviceProperties old;
  old.compute_major = 7;
  old.compute_minor = 5;
  CHECK(device_problem(old) == "its compute capability is 7.5, and 8.0 is the least.");
}

}  // namespace headspark::test
