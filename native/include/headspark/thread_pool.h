// A small pool for parallel loops. Work is cut by the caller's grain, never by the thread count,
// so results do not depend on how many threads there are.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace headspark {

class ThreadPool {
 public:
  /// threads <= 0: as many as the cgroup and the affinity mask allow.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  /// Calls body(begin, end) for consecutive ranges of at most `grain` items that cover
  /// [0, count). The caller works too. The first exception is rethrown after all have stopped.
  void parallel_for(std::int64_t count, std::int64_t grain,
                    const std::function<void(std::int64_t, std::int64_t)>& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headspark
