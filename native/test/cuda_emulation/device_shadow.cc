// The bookkeeping of accesses to device memory.
#include "cuda_emulation/device_shadow.h"

#include "cuda_emulation/program_address.h"
#include "cuda_emulation/runtime_emulated.h"
#include "headspark/error.h"

namespace headspark::cuda_emulation {

void DeviceShadow::launch_begins(const void*, const cuda::LaunchShape& shape) {
  shared_bytes_ = static_cast<std::uintptr_t>(shape.shared_bytes);
  warp_epoch_.assign(static_cast<std::size_t>(shape.threads / kWarpLanes), 1);
  ++launch_;
  block_ = 0;
  // What stands in them is of launches before, and they take 24 times the memory that they watch.
  if (pages_.size() > kMostPages) {
    pages_.clear();
    page_ = nullptr;
  }
}

void DeviceShadow::block_begins(const unsigned char* shared) {
  shared_ = reinterpret_cast<std::uintptr_t>(shared);
  ++block_;
  ++epoch_;
}

void DeviceShadow::launch_ends() {
  if (findings_.empty()) return;
  const Finding first = *findings_.begin();
  findings_.clear();
  throw Error(ErrorCode::DEVICE, "Emulated kernel: a thread " + first.problem +
                                     "; addr2line -ie PROGRAM " + in_program(first.caller) +
                                     " names the line.");
}

void DeviceShadow::copy(int thread, std::size_t, const void* source, std::size_t bytes,
                        const void* caller) {
  use(thread, source, bytes, Use::read, caller);
}

void DeviceShadow::access(int thread, const void* address, std::size_t bytes, bool write,
                          const void* caller) {
  use(thread, address, bytes, write ? Use::write : Use::read, caller);
}

void DeviceShadow::constant_read(int thread, const void* address, std::size_t bytes,
                                 const void* caller) {
  use(thread, address, bytes, Use::constant_read, caller);
}

void DeviceShadow::use(int thread, const void* address, std::size_t bytes, Use use,
                       const void* caller) {
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  if (begin - shared_ < shared_bytes_) return;
  // Most accesses are to what the thread has on its stack, and the device is slow to ask.
  constexpr std::uintptr_t kNear = 1 << 15;
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (begin - here + kNear < 2 * kNear || !cuda::is_emulated_memory(begin)) return;
  for (std::uintptr_t at = begin / kGranule; at < (begin + bytes + kGranule - 1) / kGranule; ++at) {
    check(page(at / kPageCells)[at % kPageCells], thread, use, caller);
  }
}

DeviceShadow::Page& DeviceShadow::page(std::uintptr_t number) {
  if (page_ == nullptr || number != page_number_) {
    page_number_ = number;
    page_ = &pages_[number];
    if (page_->empty()) page_->resize(kPageCells);
  }
  return *page_;
}

bool DeviceShadow::ordered(const Last& last, const Moment& now) const {
  if (last.epoch == 0) return true;
  return !last.many_blocks && last.block == block_ && last.ordered(now);
}

void DeviceShadow::check(Cell& cell, int thread, Use use, const void* caller) {
  if (cell.launch != launch_) {
    cell = {};
    cell.launch = launch_;
  }
  const Moment now = {epoch_, warp_epoch_[static_cast<std::size_t>(thread / kWarpLanes)],
                      static_cast<std::int16_t>(thread)};
  if (use == Use::write) {
    if (cell.constant) found("writes what was read as constant", cell.read, thread, caller);
    if (!ordered(cell.write, now)) found("writes what was written", cell.write, thread, caller);
    if (!ordered(cell.read, now)) found("writes what was read", cell.read, thread, caller);
    cell.write.replace(now);
    cell.write.block = block_;
    return;
  }
  if (use == Use::constant_read) {
    if (cell.write.epoch != 0) {
      found("reads as constant what was written", cell.write, thread, caller);
    }
    cell.constant = true;
  } else if (!ordered(cell.write, now)) {
    found("reads what was written", cell.write, thread, caller);
  }
  Last& last = cell.read;
  last.many_blocks = last.many_blocks || (last.epoch != 0 && last.block != block_);
  last.join(now);
  last.block = block_;
}

void DeviceShadow::found(const char* problem, const Last& other, int thread, const void* caller) {
  const char* who = other.many_blocks || other.block != block_ ? "another block"
                    : other.many_threads || other.thread != thread
                        ? "another thread of its block without a barrier since"
                        : "the same thread";
  findings_.insert({caller, std::string(problem) + " by " + who});
}

}  // namespace headspark::cuda_emulation
