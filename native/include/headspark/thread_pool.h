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

  /// body(item) for every item of a vector, one of them at a time on each thread.
  template <typename Items, typename Body>
  void for_each(Items&& items, const Body& body) {
    parallel_for(static_cast<std::int64_t>(items.size()), 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     body(items[static_cast<std::size_t>(i)]);
                   }
                 });
  }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headspark
