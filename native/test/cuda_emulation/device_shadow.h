// Who read and wrote each piece of the device's memory during a launch. What the blocks of a launch
// do has no order, and threads of a block are ordered by their barriers alone: two of them that
// reach the same bytes, one of them writing, race. And what is read past the coherent caches
// (load_four, load_two, load_constant: ld.global.nc) may not be written at all while the kernel
// runs (PTX ISA, section 9.7.9.9), not even by the thread that reads it.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "cuda_emulation/block.h"
#include "cuda_emulation/last_use.h"

namespace headspark::cuda_emulation {

class DeviceShadow final : public Observer {
 public:
  struct Finding {
    const void* caller = nullptr;  ///< of the later access, in the kernel's code
    std::string problem;
    auto operator<=>(const Finding&) const = default;
  };
  /// Each once, however often it happened.
  const std::set<Finding>& findings() const { return findings_; }

  void launch_begins(const void* kernel, const cuda::LaunchShape& shape) override;
  /// Error(DEVICE) with the first finding of the launch, if there is one.
  void launch_ends() override;
  void block_begins(const unsigned char* shared) override;
  void block_ends() override {}
  void block_met() override { ++epoch_; }
  void warp_met(int) override {}
  void warp_synced(int warp) override { ++warp_epoch_[static_cast<std::size_t>(warp)]; }
  void product() override {}
  void matrix_row(int, std::size_t, const void*) override {}
  void copy(int thread, std::size_t offset, const void* source, std::size_t bytes,
            const void* caller) override;
  void access(int thread, const void* address, std::size_t bytes, bool write,
              const void* caller) override;
  void constant_read(int thread, const void* address, std::size_t bytes,
                     const void* caller) override;

 private:
  enum class Use { read, write, constant_read };
  // Epochs only grow, through all blocks and launches.
  struct Last : LastUse {
    std::uint32_t block = 0;
    bool many_blocks = false;
  };
  struct Cell {
    Last write;
    Last read;
    bool constant = false;
    std::uint32_t launch = 0;
  };
  static constexpr std::uintptr_t kGranule = 2;  // a bf16
  static constexpr std::uintptr_t kPageCells = 2048;
  static constexpr std::size_t kMostPages = 1 << 14;  // before a launch
  using Page = std::vector<Cell>;

  void use(int thread, const void* address, std::size_t bytes, Use use, const void* caller);
  bool ordered(const Last& last, const Moment& now) const;
  void check(Cell& cell, int thread, Use use, const void* caller);
  Page& page(std::uintptr_t number);
  void found(const char* problem, const Last& other, int thread, const void* caller);

  std::unordered_map<std::uintptr_t, Page> pages_;
  std::uintptr_t page_number_ = 0;  // the one used last
  Page* page_ = nullptr;
  std::set<Finding> findings_;
  std::uintptr_t shared_ = 0;
  std::uintptr_t shared_bytes_ = 0;
  std::uint32_t launch_ = 0;
  std::uint32_t block_ = 0;
  std::uint32_t epoch_ = 0;
  std::vector<std::uint32_t> warp_epoch_;
};

}  // namespace headspark::cuda_emulation
