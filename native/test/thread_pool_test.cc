// The pool: every item once, exceptions, loops in loops, several callers, many threads.
#include "headspark/thread_pool.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <stdexcept>
#include <thread>
#include <vector>

namespace headspark::test {
namespace {

void check_covers(ThreadPool& pool, std::int64_t count, std::int64_t grain) {
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
  std::atomic<bool> too_long{false};
  pool.parallel_for(count, grain, [&](std::int64_t begin, std::int64_t end) {
    if (end - begin > grain || begin % grain != 0) too_long = true;
    for (std::int64_t i = begin; i < end; ++i) ++seen[static_cast<std::size_t>(i)];
  });
  CHECK(!too_long);
  bool once = true;
  for (const auto& times : seen) once = once && times == 1;
  CHECK(once);
}

}  // namespace

TEST_CASE("parallel_for visits every item once, in ranges cut by the grain") {
  for (const int threads : {1, 2, 5, 40}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const std::int64_t count : {0, 1, 2, 7, 100, 1001}) {
      for (const std::int64_t grain : {1, 3, 64}) check_covers(pool, count, grain);
    }
  }
}

TEST_CASE("for_each visits every item of a vector once") {
  ThreadPool pool(3);
  for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{50}}) {
    std::vector<int> items(count, 4);
    pool.for_each(items, [](int& item) { ++item; });
    CHECK(items == std::vector<int>(count, 5));
  }
}

TEST_CASE("a pool of 0 threads takes what the process may use") {
  ThreadPool pool(0);
  CHECK(pool.threads() >= 1);
  check_covers(pool, 50, 1);
}

TEST_CASE("the first exception reaches the caller and the pool works on") {
  ThreadPool pool(4);
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> running{0};
    CHECK_THROWS_WITH_AS(pool.parallel_for(1000, 1,
                                           [&](std::int64_t begin, std::int64_t) {
                                             ++running;
                                             if (begin == 17) {
                                               --running;
                                               throw std::runtime_error("item 17");
                                             }
                                             --running;
                                           }),
                         "item 17", std::runtime_error);
    CHECK(running == 0);  // nobody is still inside the body
    check_covers(pool, 100, 3);
  }
}

TEST_CASE("a loop inside a loop runs, serially") {
  ThreadPool pool(3);
  std::atomic<std::int64_t> sum{0};
  pool.parallel_for(20, 1, [&](std::int64_t begin, std::int64_t) {
    const std::thread::id here = std::this_thread::get_id();
    pool.parallel_for(10, 1, [&](std::int64_t inner, std::int64_t) {
      if (std::this_thread::get_id() == here) sum += begin * 10 + inner;
    });
  });
  CHECK(sum == 200 * 199 / 2);
}

TEST_CASE("several callers share one pool") {
  ThreadPool pool(3);
  std::atomic<std::int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        pool.parallel_for(30, 2, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(sum == 4 * 200 * 30);
}

TEST_CASE("pools end right after a loop, while their threads join it or fall asleep") {
  std::int64_t visited = 0;
  for (int round = 0; round < 3000; ++round) {
    ThreadPool pool(2 + round % 3);
    std::atomic<std::int64_t> sum{0};
    pool.parallel_for(4, 1, [&](std::int64_t begin, std::int64_t end) { sum += end - begin; });
    visited += sum;
  }
  CHECK(visited == 4 * 3000);
}

TEST_CASE("a pool with nothing to do sleeps") {
  ThreadPool pool(4);
  check_covers(pool, 100, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // past the spinning
  const std::clock_t before = std::clock();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const double busy = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  CHECK(!(busy > 0.05));
}

}  // namespace headspark::test
