// The bookkeeping of shared memory accesses.
#include "cuda_emulation/shared_shadow.h"

namespace headspark::cuda_emulation {

SharedShadow::SharedShadow(std::size_t bytes, int warps)
    : cells_((bytes + kGranule - 1) / kGranule), warp_epoch_(static_cast<std::size_t>(warps), 1) {}

// Epochs only ever grow, so that what stands in the cells needs no clearing.
void SharedShadow::reset() {
  first_epoch_ = ++epoch_;
}

// Whether the last access happened before one by `thread` now.
bool SharedShadow::ordered(const Last& last, int thread) const {
  if (last.epoch != epoch_) return true;  // a barrier, or nothing at all, lies between
  if (!last.many_threads && last.thread == thread) return true;
  const bool same_warp = !last.many_warps && last.thread / 32 == thread / 32;
  return same_warp && last.warp_epoch < warp_epoch_[static_cast<std::size_t>(thread / 32)];
}

int SharedShadow::access(std::size_t offset, std::size_t bytes, int thread, bool write,
                         bool& unwritten) {
  const auto own = static_cast<std::int16_t>(thread);  // of at most 1024
  const std::uint32_t warp_epoch = warp_epoch_[static_cast<std::size_t>(thread / 32)];
  for (std::size_t i = offset / kGranule; i < (offset + bytes + kGranule - 1) / kGranule; ++i) {
    Cell& cell = cells_[i];
    if (!ordered(cell.write, thread)) return cell.write.thread;
    if (write) {
      if (!ordered(cell.read, thread)) return cell.read.thread;
      cell.write = {epoch_, warp_epoch, own, false, false};
      continue;
    }
    if (cell.write.epoch < first_epoch_) unwritten = true;
    Last& read = cell.read;
    if (read.epoch != epoch_) {
      read = {epoch_, warp_epoch, own, false, false};
    } else {
      read.many_threads = read.many_threads || read.thread != thread;
      read.many_warps = read.many_warps || read.thread / 32 != thread / 32;
      read.warp_epoch = warp_epoch;
      read.thread = own;
    }
  }
  return -1;
}

}  // namespace headspark::cuda_emulation
