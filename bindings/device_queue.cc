// First-come-first-served turns on a device.
#include "device_queue.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "headspark/error.h"

namespace headspark::bindings {

DeviceQueue& DeviceQueue::for_device(const std::string& device) {
  static std::mutex mutex;
  static std::map<std::string, DeviceQueue> queues;
  const std::lock_guard lock(mutex);
  return queues[device];
}

DeviceQueue::Turn::Turn(DeviceQueue& queue) : queue_(queue) {
  const std::lock_guard lock(queue_.mutex_);
  ticket_ = queue_.next_ticket_++;
  queue_.waiting_.push_back(ticket_);
}

DeviceQueue::Turn::~Turn() {
  {
    const std::lock_guard lock(queue_.mutex_);
    queue_.waiting_.erase(std::find(queue_.waiting_.begin(), queue_.waiting_.end(), ticket_));
  }
  queue_.changed_.notify_all();
}

void DeviceQueue::Turn::wait(const std::function<bool()>& should_stop) {
  std::unique_lock lock(queue_.mutex_);
  while (queue_.waiting_.front() != ticket_) {
    if (should_stop()) {
      throw Error(ErrorCode::CANCELLED, "The run was cancelled while it waited for the device.");
    }
    // The stop flag has no condition variable of its own, so it is polled.
    queue_.changed_.wait_for(lock, std::chrono::milliseconds(20));
  }
}

}  // namespace headspark::bindings
