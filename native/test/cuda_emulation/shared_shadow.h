// Who read and wrote each piece of shared memory since the last barrier: two threads that touch the
// same bytes, one of them writing, must meet in between (as compute-sanitizer's racecheck asks).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cuda_emulation/last_use.h"

namespace headspark::cuda_emulation {

class SharedShadow {
 public:
  SharedShadow(std::size_t bytes, int warps);

  /// For the next block: nobody has written yet.
  void reset();
  void barrier() { ++epoch_; }
  void warp_barrier(int warp) { ++warp_epoch_[static_cast<std::size_t>(warp)]; }

  enum class Problem { none, race, unwritten, under_way };
  struct Finding {
    Problem problem = Problem::none;
    int thread = -1;  // the other one of a race, or the one that copies
  };
  Finding access(std::size_t offset, std::size_t bytes, int thread, bool write);
  /// An atomic addition, which has no order with others.
  Finding add(std::size_t offset, std::size_t bytes, int thread);

  /// An asynchronous copy may write at any moment from here to end_copy, which counts as its write:
  /// nobody may use the bytes in between.
  Finding begin_copy(std::size_t offset, std::size_t bytes, int thread);
  Finding end_copy(std::size_t offset, std::size_t bytes, int thread);

 private:
  static constexpr std::size_t kGranule = 2;  // a bf16
  struct Cell {
    LastUse write;
    LastUse read;
    LastUse addition;
    std::int16_t copied_by = -1;  // while a copy is under way
  };
  Moment now(int thread) const;
  Finding join(Cell& cell, LastUse Cell::*own, LastUse Cell::*other, int thread) const;
  Finding write(Cell& cell, int thread) const;
  template <typename Use>
  Finding each_cell(std::size_t offset, std::size_t bytes, const Use& use);

  std::vector<Cell> cells_;
  std::uint32_t epoch_ = 1;
  std::uint32_t first_epoch_ = 1;  // of this block
  std::vector<std::uint32_t> warp_epoch_;
};

}  // namespace headspark::cuda_emulation
