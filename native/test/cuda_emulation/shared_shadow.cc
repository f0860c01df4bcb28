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

SharedShadow::Finding SharedShadow::read(Cell& cell, int thread) const {
  if (cell.copied_by >= 0) return {Problem::under_way, cell.copied_by};
  if (!ordered(cell.write, thread)) return {Problem::race, cell.write.thread};
  const auto own = static_cast<std::int16_t>(thread);  // of at most 1024
  const std::uint32_t warp_epoch = warp_epoch_[static_cast<std::size_t>(thread / 32)];
  Last& last = cell.read;
  if (last.epoch != epoch_) {
    last = {epoch_, warp_epoch, own, false, false};
  } else {
    last.many_threads = last.many_threads || last.thread != thread;
    last.many_warps = last.many_warps || last.thread / 32 != thread / 32;
    last.warp_epoch = warp_epoch;
    last.thread = own;
  }
  if (cell.write.epoch < first_epoch_) return {Problem::unwritten, -1};
  return {};
}

SharedShadow::Finding SharedShadow::write(Cell& cell, int thread) const {
  if (cell.copied_by >= 0) return {Problem::under_way, cell.copied_by};
  if (!ordered(cell.write, thread)) return {Problem::race, cell.write.thread};
  if (!ordered(cell.read, thread)) return {Problem::race, cell.read.thread};
  cell.write = {epoch_, warp_epoch_[static_cast<std::size_t>(thread / 32)],
                static_cast<std::int16_t>(thread), false, false};
  return {};
}

template <typename Use>
SharedShadow::Finding SharedShadow::each_cell(std::size_t offset, std::size_t bytes,
                                              const Use& use) {
  for (std::size_t i = offset / kGranule; i < (offset + bytes + kGranule - 1) / kGranule; ++i) {
    const Finding finding = use(cells_[i]);
    if (finding.problem != Problem::none) return finding;
  }
  return {};
}

SharedShadow::Finding SharedShadow::access(std::size_t offset, std::size_t bytes, int thread,
                                           bool write) {
  if (write) {
    return each_cell(offset, bytes, [&](Cell& cell) { return this->write(cell, thread); });
  }
  return each_cell(offset, bytes, [&](Cell& cell) { return read(cell, thread); });
}

SharedShadow::Finding SharedShadow::begin_copy(std::size_t offset, std::size_t bytes, int thread) {
  return each_cell(offset, bytes, [&](Cell& cell) {
    const Finding finding = write(cell, thread);
    cell.copied_by = static_cast<std::int16_t>(thread);
    return finding;
  });
}

SharedShadow::Finding SharedShadow::end_copy(std::size_t offset, std::size_t bytes, int thread) {
  return each_cell(offset, bytes, [&](Cell& cell) {
    cell.copied_by = -1;
    return write(cell, thread);
  });
}

}  // namespace headspark::cuda_emulation
