// The emulated device itself: barriers, shuffles, the layouts of ldmatrix and mma.sync against a
// plain product, asynchronous copies, and the mistakes it must see.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "cuda/cuda_language.h"
#include "headspark/error.h"
#include "op_suite.h"

namespace headspark::test {
namespace {

using namespace cuda;  // NOLINT: this file is about nothing else

using Body = std::function<void()>;

struct BodyParams {
  const Body* body;
};

HEADSPARK_KERNEL(1024) run_body(BodyParams p) {
  (*p.body)();
}

void on_block(int threads, int shared_bytes, const Body& body) {
  launch(nullptr, {.grid = {}, .threads = threads, .shared_bytes = shared_bytes}, &run_body,
         BodyParams{&body});
}

std::string failure(int threads, int shared_bytes, const Body& body) {
  try {
    on_block(threads, shared_bytes, body);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::DEVICE);
    return error.what();
  }
  return "no failure";
}

class ScopedSchedule {
 public:
  explicit ScopedSchedule(cuda_emulation::Schedule schedule) {
    cuda_emulation::set_schedule(schedule);
  }
  ~ScopedSchedule() { cuda_emulation::set_schedule(cuda_emulation::Schedule::ascending); }
};

constexpr cuda_emulation::Schedule kSchedules[] = {cuda_emulation::Schedule::ascending,
                                                   cuda_emulation::Schedule::descending,
                                                   cuda_emulation::Schedule::shuffled};

// A matrix of small integers: every product and sum is exact.
std::vector<float> small_integers(Random& random, int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(static_cast<float>(random.below(17)) - 8.0f);
  return values;
}

}  // namespace

TEST_CASE("cuda emulation: every thread of every block runs once and knows its place") {
  std::vector<int> seen(2 * 3 * 2 * 64);
  const Body body = [&seen] {
    ++seen[static_cast<std::size_t>(((block_z() * 3 + block_y()) * 2 + block_x()) * 64 +
                                    warp_index() * 32 + lane_index())];
  };
  launch(nullptr, {.grid = {2, 3, 2}, .threads = 64}, &run_body, BodyParams{&body});
  for (const int count : seen) CHECK(count == 1);
}

TEST_CASE("cuda emulation: a barrier orders shared memory under every schedule") {
  for (const auto schedule : kSchedules) {
    const ScopedSchedule scoped(schedule);
    std::vector<int> result(96);
    on_block(96, 96 * 4, [&result] {
      SharedMemory memory;
      const SharedArray<int> values = memory.take<int>(96);
      const int thread = thread_index();
      values.store(thread, thread * thread);
      for (int step = 0; step < 3; ++step) {
        sync_threads();
        const int next = values.load((thread + 1) % 96);
        sync_threads();
        values.store(thread, next);
      }
      result[static_cast<std::size_t>(thread)] = values.load(thread);
    });
    for (int i = 0; i < 96; ++i) {
      const int from = (i + 3) % 96;
      CHECK(result[static_cast<std::size_t>(i)] == from * from);
    }
  }
}

TEST_CASE("cuda emulation: shuffles and votes") {
  std::vector<float> sums(64), up(64);
  std::vector<unsigned> votes(64);
  std::vector<int> from(64);
  on_block(64, 0, [&] {
    const auto thread = static_cast<std::size_t>(thread_index());
    float sum = static_cast<float>(thread);
    for (int mask = 16; mask > 0; mask /= 2) sum += shuffle_xor(sum, mask);
    sums[thread] = sum;
    up[thread] = shuffle_up(static_cast<float>(thread), 3);
    votes[thread] = ballot(thread % 3 == 0);
    from[thread] = shuffle_from(thread_index() * 2, 7);
    CHECK(any_lane(lane_index() == 5));
    CHECK(!any_lane(false));
  });
  CHECK(sums[0] == 496.0f);
  CHECK(sums[40] == 1520.0f);
  CHECK(up[2] == 2.0f);
  CHECK(up[3] == 0.0f);
  CHECK(up[34] == 34.0f);
  CHECK(up[63] == 60.0f);
  CHECK(votes[9] == 0x49249249u);
  CHECK(from[31] == 14);
  CHECK(from[32] == 78);
}

TEST_CASE("cuda emulation: ldmatrix and mma.sync compute a plain product") {
  Random random(11);
  const std::vector<float> a = small_integers(random, 16 * 16);
  const std::vector<float> b = small_integers(random, 16 * 8);  // [k, n]
  const std::vector<float> c = small_integers(random, 16 * 8);
  for (const bool transposed : {false, true}) {
    std::vector<float> d(16 * 8);
    on_block(32, 16 * 16 * 2 + 16 * 16 * 2, [&] {
      SharedMemory memory;
      const SharedArray<Bf16> left = memory.take<Bf16>(16 * 16);
      const SharedArray<Bf16> right = memory.take<Bf16>(16 * 16);
      const int lane = lane_index();
      for (int i = lane; i < 256; i += 32) {
        left.store(i, float_to_bf16(a[static_cast<std::size_t>(i)]));
        // B by column [n, k], or as it lies [k, n] for the transposing load; the rest is not used.
        const int k = transposed ? i / 16 : i % 16;
        const int n = transposed ? i % 16 : i / 16;
        right.store(i, float_to_bf16(n < 8 ? b[static_cast<std::size_t>(k * 8 + n)] : 99.0f));
      }
      sync_warp();
      FragmentA fa;
      load_matrices(fa.r, left, (lane % 16) * 16 + lane / 16 * 8);
      std::uint32_t pair[4];
      FragmentB fb;
      if (transposed) {
        load_matrices_transposed(pair, right, (lane % 16) * 16 + lane / 16 * 8);
        fb = {{pair[0], pair[1]}};
      } else {
        load_matrices(pair, right, (lane % 8 + lane / 16 * 8) * 16 + lane / 8 % 2 * 8);
        fb = {{pair[0], pair[1]}};
      }
      const int g = lane / 4;
      const int t = 2 * (lane % 4);
      const int at[4] = {g * 8 + t, g * 8 + t + 1, (g + 8) * 8 + t, (g + 8) * 8 + t + 1};
      FragmentC fc;
      for (int i = 0; i < 4; ++i) fc.r[i] = c[static_cast<std::size_t>(at[i])];
      multiply_add(fc, fa, fb);
      for (int i = 0; i < 4; ++i) d[static_cast<std::size_t>(at[i])] = fc.r[i];
    });
    for (std::size_t m = 0; m < 16; ++m) {
      for (std::size_t n = 0; n < 8; ++n) {
        float sum = c[m * 8 + n];
        for (std::size_t k = 0; k < 16; ++k) sum += a[m * 16 + k] * b[k * 8 + n];
        CHECK(d[m * 8 + n] == sum);
      }
    }
  }
}

TEST_CASE("cuda emulation: the tensor core cuts its sums off") {
  float result = 0.0f;
  on_block(32, 0, [&] {
    // 1 + 15/16 of the last place: rounding would go up.
    FragmentC c{{1.0f, 0.0f, 0.0f, 0.0f}};
    const FragmentA a{{pack_bf16(lane_index() == 0 ? 0x1.ep-12f : 0.0f, 0.0f), 0, 0, 0}};
    const FragmentB b{{pack_bf16(lane_index() == 0 ? 0x1p-12f : 0.0f, 0.0f), 0}};
    multiply_add(c, a, b);
    if (lane_index() == 0) result = c.r[0];
  });
  CHECK(result == 1.0f);
}

TEST_CASE("cuda emulation: an asynchronous copy arrives when it is waited for, not before") {
  alignas(16) const float source[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  float first = 0.0f;
  float cut = 9.0f;
  float second = 0.0f;
  on_block(32, 48, [&] {
    SharedMemory memory;
    const SharedArray<float> to = memory.take<float>(12);
    if (thread_index() == 0) {
      copy_async(to, 0, source, 12);
      commit_copies();
      copy_async(to, 4, source + 4, 16);
      commit_copies();
      wait_copies<1>();
      first = to.load(2);
      cut = to.load(3);
      wait_copies<0>();
      second = to.load(7);
    }
  });
  CHECK(first == 3.0f);
  CHECK(cut == 0.0f);
  CHECK(second == 8.0f);
  CHECK(failure(32, 48, [&] {
          SharedMemory memory;
          const SharedArray<float> to = memory.take<float>(12);
          copy_async(to, 0, source, 16);
          commit_copies();
          to.load(0);
        }).find("reads shared byte 0, to which a copy of thread") != std::string::npos);
  // Into what the other warp may still read: a barrier before the wait comes too late.
  const auto copy_while_read = [&] {
    const SharedArray<float> to = SharedMemory().take<float>(12);
    if (thread_index() == 5) to.store(0, 1.0f);
    sync_threads();
    if (thread_index() == 40) to.load(0);
    if (thread_index() == 5) {
      copy_async(to, 0, source, 16);
      commit_copies();
    }
    sync_threads();
    if (thread_index() == 5) wait_copies<0>();
  };
  CHECK(failure(64, 48, copy_while_read).find("to which a copy of thread 5 is under way") !=
        std::string::npos);
  const ScopedSchedule reader_first(cuda_emulation::Schedule::descending);
  CHECK(failure(64, 48, copy_while_read).find("begins a copy to shared byte 0 without a barrier") !=
        std::string::npos);
  CHECK(failure(32, 48, [&] {
          SharedMemory memory;
          copy_async(memory.take<float>(12), 0, source + 1, 16);
        }).find("not aligned") != std::string::npos);
  CHECK(failure(32, 48, [&] {
          SharedMemory memory;
          copy_async(memory.take<float>(12), 0, source, 16);
        }).find("never waited for") != std::string::npos);
}

TEST_CASE("cuda emulation: mistakes of a kernel are failures that say where") {
  const auto says = [](int threads, int bytes, const Body& body, const char* what) {
    const std::string message = failure(threads, bytes, body);
    CAPTURE(message);
    CHECK(message.find(what) != std::string::npos);
    CHECK(message.find("cuda_emulation_test.cc:") != std::string::npos);
  };
  says(
      64, 0,
      [] {
        if (thread_index() != 0) sync_threads();
      },
      "have ended");
  says(
      64, 0,
      [] {
        if (thread_index() == 0) sync_threads();
      },
      "ends while thread 0");
  says(
      64, 0,
      [] {
        if (lane_index() < 31) shuffle_xor(1.0f, 1);
      },
      "ends while thread");
  says(
      64, 0,
      [] {
        if (warp_index() == 0) {
          sync_threads();
        } else {
          sync_threads();
        }
      },
      "meets others that stand at");
  says(
      32, 0,
      [] {
        if (lane_index() < 16) {
          sync_warp();
        } else {
          ballot(true);
        }
      },
      "where its warp calls");
  says(
      64, 0,
      [] {
        if (lane_index() == 0) {
          sync_threads();
        } else {
          sync_warp();
        }
      },
      "deadlock");
  says(
      32, 64, [] { SharedMemory().take<float>(16).store(16, 1.0f); }, "element 16 of a shared");
  says(
      32, 64, [] { SharedMemory().take<float>(16).store(-1, 1.0f); }, "element -1 of a shared");
  says(
      32, 64, [] { SharedMemory().take<float>(17); }, "takes 80 of 64");
  says(
      32, 64, [] { SharedMemory().take<float>(16).load(3); }, "nobody has written");
  says(
      32, 64, [] { SharedMemory().take<float>(16).load_as<Four>(2); }, "not aligned");
  alignas(16) const float values[5] = {};
  says(
      32, 0, [&values] { load_four(values + 1); }, "not aligned");
}

TEST_CASE("cuda emulation: races on shared memory are failures") {
  const auto message = failure(64, 256, [] {
    const SharedArray<int> values = SharedMemory().take<int>(64);
    values.store(thread_index(), 1);
    if (thread_index() > 0) values.load(thread_index() - 1);
  });
  CHECK(message.find("without a barrier since thread") != std::string::npos);
  CHECK(failure(64, 256, [] {
          const SharedArray<int> values = SharedMemory().take<int>(64);
          values.store(thread_index(), 1);
          sync_warp();
          values.load(thread_index() ^ 1);  // of the same warp: fine
          sync_warp();
          values.store(thread_index() ^ 1, 2);
          sync_threads();
          values.load(0);
          values.load(63);
        }) == "no failure");
  CHECK(failure(64, 256, [] {
          const SharedArray<int> values = SharedMemory().take<int>(64);
          if (thread_index() == 0) values.store(0, 1);
          sync_threads();
          values.load(0);
          sync_warp();
          if (thread_index() == 5) values.store(0, 2);  // the other warp may still read
        }).find("writes shared byte 0 without a barrier") != std::string::npos);
}

TEST_CASE("cuda emulation: additions to shared memory need no order among themselves") {
  const auto add = [](bool meets, bool begins, bool ends) {
    return failure(64, 256, [=] {
      const auto values = SharedMemory().take<float>(64).as<std::uint32_t>();
      if (begins) values.store(thread_index(), 0);
      if (meets) sync_threads();
      const std::uint32_t before = values.add(7, 3);
      if (before % 3 != 0 || before > 63 * 3) values.load(-1);
      if (ends) sync_threads();
      if (values.load(7) != 64 * 3 && ends) values.load(-1);
    });
  };
  CHECK(add(true, true, true) == "no failure");
  CHECK(add(false, true, true) != "no failure");
  CHECK(add(true, true, false).find("adds to shared byte 28 without a barrier") !=
        std::string::npos);
  CHECK(add(true, false, true).find("which nobody has written") != std::string::npos);
}

TEST_CASE("cuda emulation: a failure leaves the device usable") {
  for (int round = 0; round < 3; ++round) {
    CHECK(failure(128, 0, [] {
            if (thread_index() == 77) shuffle_xor(1, 1);
          }) != "no failure");
    int count = 0;
    on_block(128, 0, [&count] {
      sync_threads();
      ++count;
    });
    CHECK(count == 128);
  }
}

TEST_CASE("cuda emulation: impossible launches are refused") {
  const Body body = [] {};
  const LaunchShape no_block{.grid = {0, 1, 1}};
  const LaunchShape half_warp{.grid = {}, .threads = 33};
  const LaunchShape too_wide{.grid = {}, .threads = 2048};
  const LaunchShape too_much{.grid = {}, .shared_bytes = 1 << 20};
  for (const LaunchShape& shape : {no_block, half_warp, too_wide, too_much}) {
    CHECK_THROWS_AS(launch(nullptr, shape, &run_body, BodyParams{&body}), Error);
  }
}

}  // namespace headspark::test
