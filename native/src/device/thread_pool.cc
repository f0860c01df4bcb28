// The pool behind every parallel loop. Threads spin for some microseconds before they sleep (ops
// follow each other closely), so that an idle pool takes no core from anyone.
#include "headspark/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "headspark/device.h"
#include "headspark/error.h"

namespace headspark {
namespace {

// Pauses before a thread sleeps: about 30 microseconds, longer than the gap between two ops of one
// layer, to 150, longer than another thread takes for its last item.
constexpr int kFewestSpins = 1000;
constexpr int kMostSpins = 5000;

// True while this thread runs a body: a loop inside a loop then runs serially, so it cannot wait
// for workers that wait for it.
thread_local bool inside_loop = false;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // some dozen cycles, where `yield` is none
#else
  std::this_thread::yield();
#endif
}

/// Waits for others by spinning, for as long as that has been enough of late: beside neighbours,
/// where the thread that is waited for may not run at all, a spinner takes its core.
class Spin {
 public:
  /// False when the caller should sleep instead.
  template <typename Done>
  bool until(const Done& done) {
    for (int i = 0; i < spins_; ++i) {
      if (done()) {
        spins_ = std::min(2 * spins_, kMostSpins);
        return true;
      }
      pause_briefly();
    }
    spins_ = std::max(spins_ / 2, kFewestSpins);
    return false;
  }

 private:
  int spins_ = kMostSpins;
};

// Two lines, so that taking the next item does not take the line from who reads the rest.
constexpr std::size_t kLine = 128;

struct Loop {
  std::int64_t count = 0;
  std::int64_t grain = 1;
  const std::function<void(std::int64_t, std::int64_t)>* body = nullptr;
  std::mutex failure_mutex;
  std::exception_ptr failure;
  alignas(kLine) std::atomic<std::int64_t> next{0};

  void run() {
    inside_loop = true;
    for (;;) {
      const std::int64_t begin = next.fetch_add(grain);
      if (begin >= count) break;
      try {
        (*body)(begin, std::min(begin + grain, count));
      } catch (...) {
        const std::lock_guard lock(failure_mutex);
        if (!failure) failure = std::current_exception();
        next.store(count);
      }
    }
    inside_loop = false;
  }
};

void run_serially(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body) {
  for (std::int64_t begin = 0; begin < count; begin += grain) {
    body(begin, std::min(begin + grain, count));
  }
}

}  // namespace

// Workers join a loop and leave it by one addition each, without a lock that all of them would want
// at the same time; locks are for those who sleep.
struct ThreadPool::State {
  // Added to `inside` while no loop may be joined.
  static constexpr std::int64_t kClosed = std::int64_t{1} << 32;

  std::mutex caller_mutex;  // one loop at a time; another caller's loop waits its turn
  Loop* loop = nullptr;     // read by those who joined, written while it is closed and empty
  Spin spin;                // of callers, one at a time
  std::vector<std::thread> workers;

  alignas(kLine) std::atomic<std::uint64_t> generation{0};  // counts loops; idle workers spin on it
  std::atomic<bool> stopping{false};
  alignas(kLine) std::atomic<std::int64_t> inside{kClosed};  // workers in the loop
  std::atomic<bool> caller_sleeps{false};
  alignas(kLine) std::atomic<std::int64_t> sleepers{0};  // workers; changed under the mutex
  std::mutex mutex;
  std::condition_variable work;
  std::condition_variable done;

  void stop() {
    stopping = true;
    announce(std::ssize(workers));
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }

  /// Tells workers that there is something new, at least `wanted` of those who sleep.
  void announce(std::int64_t wanted) {
    generation.fetch_add(1);
    // Whoever is not counted here has yet to look at the generation under the mutex.
    const std::int64_t asleep = sleepers.load();
    if (asleep == 0) return;
    { const std::lock_guard lock(mutex); }
    if (wanted >= asleep) return work.notify_all();
    for (std::int64_t i = 0; i < wanted; ++i) work.notify_one();
  }

  bool empty() const { return inside.load() == kClosed; }

  void leave() {
    // The caller sets its flag before it looks at `inside` for the last time.
    if (inside.fetch_sub(1) - 1 != kClosed || !caller_sleeps.load()) return;
    const std::lock_guard lock(mutex);
    done.notify_one();
  }

  void wait_until_empty() {
    if (spin.until([&] { return empty(); })) return;
    std::unique_lock lock(mutex);
    // An exchange, since qemu lets a load of arm64 (ldar) pass a store before it (stlr).
    caller_sleeps.exchange(true);
    done.wait(lock, [&] { return empty(); });
    caller_sleeps = false;
  }

  void work_forever() {
    std::uint64_t seen = 0;
    Spin spin;
    const auto is_new = [&] { return generation.load() != seen; };
    for (;;) {
      if (!spin.until(is_new)) {
        std::unique_lock lock(mutex);
        ++sleepers;
        work.wait(lock, is_new);
        --sleepers;
      }
      seen = generation.load();
      if (stopping) return;  // set before the generation that tells of it
      // A loop that began after `seen` may be joined too, and once more after it.
      if (inside.fetch_add(1) < kClosed) loop->run();
      leave();
    }
  }

  /// Of the caller alone: publishes the loop, takes part in it, and waits for the others.
  void run(Loop& own, std::int64_t others) {
    loop = &own;
    inside.fetch_sub(kClosed);
    announce(others);
    own.run();
    inside.fetch_add(kClosed);  // nobody joins from here on
    wait_until_empty();
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  const int total = threads > 0 ? threads : default_threads();
  try {
    for (int i = 1; i < total; ++i) {
      state_->workers.emplace_back([state = state_.get()] { state->work_forever(); });
    }
  } catch (const std::system_error&) {
    const std::size_t started = state_->workers.size() + 1;
    state_->stop();
    throw Error(ErrorCode::OUT_OF_MEMORY, "The system gave only " + std::to_string(started) +
                                              " of " + std::to_string(total) +
                                              " threads; ask for fewer threads.");
  }
}

ThreadPool::~ThreadPool() {
  state_->stop();
}

int ThreadPool::threads() const {
  return static_cast<int>(state_->workers.size()) + 1;
}

void ThreadPool::parallel_for(std::int64_t count, std::int64_t grain,
                              const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count <= 0) return;
  grain = std::clamp<std::int64_t>(grain, 1, count);
  if (inside_loop || state_->workers.empty() || count <= grain) {
    return run_serially(count, grain, body);
  }
  const std::lock_guard turn(state_->caller_mutex);
  Loop loop;
  loop.count = count;
  loop.grain = grain;
  loop.body = &body;
  state_->run(loop, (count - 1) / grain);  // ranges but one
  if (loop.failure) std::rethrow_exception(loop.failure);
}

}  // namespace headspark
