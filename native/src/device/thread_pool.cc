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

struct Loop {
  std::int64_t count = 0;
  std::int64_t grain = 1;
  const std::function<void(std::int64_t, std::int64_t)>* body = nullptr;
  std::atomic<std::int64_t> next{0};
  std::mutex failure_mutex;
  std::exception_ptr failure;

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

struct ThreadPool::State {
  std::mutex caller_mutex;  // one loop at a time; another caller's loop waits its turn
  std::mutex mutex;         // guards loop, active, stopping
  std::condition_variable work;
  std::condition_variable done;
  Loop* loop = nullptr;
  std::atomic<int> active{0};  // workers inside `loop`; changed under the mutex
  bool stopping = false;
  std::atomic<std::uint64_t> generation{0};  // counts loops; idle workers spin on it
  Spin spin;                                 // of callers, one at a time
  std::vector<std::thread> workers;

  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
      generation.fetch_add(1);
    }
    work.notify_all();
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }

  void work_forever() {
    std::uint64_t seen = 0;
    Spin spin;
    for (;;) {
      spin.until([&] { return generation.load() != seen; });
      std::unique_lock lock(mutex);
      work.wait(lock, [&] { return stopping || generation.load() != seen; });
      if (stopping) return;
      seen = generation.load();
      Loop* current = loop;
      if (current == nullptr) continue;  // woke after the others had finished it
      ++active;
      lock.unlock();
      current->run();
      lock.lock();
      if (--active == 0) done.notify_one();
    }
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
  {
    const std::lock_guard lock(state_->mutex);
    state_->loop = &loop;
    state_->generation.fetch_add(1);
  }
  state_->work.notify_all();
  loop.run();
  {
    const std::lock_guard lock(state_->mutex);
    state_->loop = nullptr;  // nobody joins from here on
  }
  state_->spin.until([&] { return state_->active.load() == 0; });
  {
    std::unique_lock lock(state_->mutex);
    state_->done.wait(lock, [&] { return state_->active.load() == 0; });
  }
  if (loop.failure) std::rethrow_exception(loop.failure);
}

}  // namespace headspark
