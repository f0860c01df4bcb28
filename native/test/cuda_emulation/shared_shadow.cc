// The bookkeeping of shared memory accesses.
#include "cuda_emulation/shared_shadow.h"

namespace headspark::cuda_emulation {

SharedShadow::SharedShadow(std::size_t bytes, int warps)
    : cells_((bytes + kGranule - 1) / kGranule), warp_epoch_(static_cast<std::size_t>(warps), 1) {}

// Epochs only ever grow, so that what stands in the cells needs no clearing.
void SharedShadow::reset() {
  first_epoch_ = ++epoch_;
}

Moment SharedShadow::now(int thread) const {
  return {epoch_, warp_epoch_[static_cast<std::size_t>(thread / 32)],
          static_cast<std::int16_t>(thread)};
}

// Reads have no order among themselves, and neither have additions.
SharedShadow::Finding SharedShadow::join(Cell& cell, LastUse Cell::*own, LastUse Cell::*other,
                                         int thread) const {
  if (cell.copied_by >= 0) return {Problem::under_way, cell.copied_by};
  const Moment moment = now(thread);
  if (!cell.write.ordered(moment)) return {Problem::race, cell.write.thread};
  if (!(cell.*other).ordered(moment)) return {Problem::race, (cell.*other).thread};
  (cell.*own).join(moment);
  if (cell.write.epoch < first_epoch_) return {Problem::unwritten, -1};
  return {};
}

SharedShadow::Finding SharedShadow::write(Cell& cell, int thread) const {
  if (cell.copied_by >= 0) return {Problem::under_way, cell.copied_by};
  const Moment own = now(thread);
  if (!cell.write.ordered(own)) return {Problem::race, cell.write.thread};
  if (!cell.read.ordered(own)) return {Problem::race, cell.read.thread};
  if (!cell.addition.ordered(own)) return {Problem::race, cell.addition.thread};
  cell.write.replace(own);
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
  return each_cell(offset, bytes,
                   [&](Cell& cell) { return join(cell, &Cell::read, &Cell::addition, thread); });
}

SharedShadow::Finding SharedShadow::add(std::size_t offset, std::size_t bytes, int thread) {
  return each_cell(offset, bytes,
                   [&](Cell& cell) { return join(cell, &Cell::addition, &Cell::read, thread); });
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
