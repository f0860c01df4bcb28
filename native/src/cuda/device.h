// One GPU of this process: its stream, its memory and the weights on it, shared by all engines that
// run there. Jobs of a device run one after the other; buffers may go from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cuda/lt_products.h"
#include "cuda/memory_pool.h"
#include "cuda/staging.h"
#include "cuda/weight_cache.h"
#include "headspark/backend.h"

namespace headspark::cuda {

/// Why nothing can be computed on a device with these properties, one sentence; empty: it can.
std::string device_problem(const DeviceProperties& properties);

/// "12.4" of 12040.
std::string cuda_version_text(int version);

/// Why no GPU can be used, in words that follow a colon, where device_count gave `problem`.
std::string unusable_text(const std::string& problem);

/// Makes the device current for the calling thread. Error(DEVICE), for instance where another
/// process has it for itself.
void enter_device(int index);

class Device final : public WeightMemory {
 public:
  /// Device `index`, made on first use and gone with its last holder. Error(DEVICE) when it is not
  /// there or not usable.
  static std::shared_ptr<Device> get(int index);

  explicit Device(int index);
  ~Device() override;

  /// Makes this device current for the calling thread, as every other call here does first.
  void enter() const { enter_device(index_); }

  /// "cuda:0 (NVIDIA H200)".
  std::string name() const;
  /// Of the branch at work.
  Stream stream() override { return branches_[branch_].stream; }
  /// See OpDevice.
  void side_by_side(std::span<const std::function<void()>> works);
  std::int64_t available_bytes();
  /// Null when the device is full even without what is cached.
  void* try_allocate(std::int64_t bytes);
  /// What is where, for the message of a failed allocation.
  std::string usage() const;

  void* allocate(std::int64_t bytes) override;
  void release(void* memory) noexcept override { pool_.release(memory); }
  /// The host's bytes may change when this returns; nothing waits for the device unless they are
  /// many.
  void copy(void* device, const void* host, std::int64_t bytes) override;

  WeightCache& weights() { return weights_; }
  /// Products by cuBLASLt, started on first use; null where it is absent or does not start.
  LtProducts* products();
  /// See OpDevice::scratch.
  void* scratch(ScratchSlot slot, std::int64_t bytes);

  // What this thread queues between these is recorded (runtime.h). Meanwhile it gets no memory, not
  // even of what is cached, which would be somebody else's when the record is repeated, and copies
  // nothing from the host: Error(DEVICE).
  void begin_record();
  Graph end_record();
  void abandon_record() noexcept;
  /// Changes whenever memory that ops were given by this device (scratch, weights) goes, moves or
  /// is written over: what was recorded before must not be repeated.
  std::uint64_t epoch() const { return scratch_moves_ + weights_.replaced(); }

 private:
  struct Scratch {
    void* memory = nullptr;
    std::int64_t bytes = 0;
  };
  using ScratchSlots = std::array<Scratch, static_cast<std::size_t>(ScratchSlot::count)>;
  /// The device's own work, or what is done beside it, which begins and ends with it.
  struct Branch {
    Stream stream = nullptr;
    Event event = nullptr;
    ScratchSlots scratch;
  };

  void make_branches(std::size_t count);
  void join_branches(std::size_t count);
  void release_outgrown();

  int index_;
  DeviceProperties properties_;
  MemoryPool pool_;
  WeightCache weights_;
  Staging staging_;
  std::vector<Branch> branches_;  ///< the first is the device's own
  std::size_t branch_ = 0;        ///< whose work is queued
  bool branches_at_work_ = false;
  std::vector<void*> outgrown_;  ///< scratch memory that other branches must not get
  std::uint64_t scratch_moves_ = 0;
  std::unique_ptr<LtProducts> products_;
  bool products_failed_ = false;  ///< the library did not start
};

}  // namespace headspark::cuda
