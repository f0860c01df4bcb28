// One heavy job per device at a time in the whole process, first come first served, whichever
// environment (main thread or worker_threads) it came from.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>

namespace headspark::bindings {

class DeviceQueue {
 public:
  // The queue of a device, "cpu" or "cuda:0". Lives as long as the process.
  static DeviceQueue& for_device(const std::string& device);

  // A place in the queue from construction to destruction.
  class Turn {
   public:
    explicit Turn(DeviceQueue& queue);
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    // Returns when the device is this turn's own; throws Error(CANCELLED) when should_stop() says
    // so first.
    void wait(const std::function<bool()>& should_stop);

   private:
    DeviceQueue& queue_;
    std::uint64_t ticket_;
  };

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::uint64_t> waiting_;  // front holds the device
  std::uint64_t next_ticket_ = 0;
};

}  // namespace headspark::bindings
