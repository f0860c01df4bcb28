// What kernels ask of the memories of a device, counted while they run on the emulated one. A warp
// reaches device memory in sectors of 32 bytes and shared memory in wavefronts of 32 banks: how
// many of them its 32 addresses need is what an access costs, whatever it asked for (CUDA C++ Best
// Practices Guide, "Coalesced access to global memory" and "Shared memory and memory banks").
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cuda_emulation/block.h"

namespace headspark::cuda_emulation {

/// All executions of one access in a kernel's code, by all warps.
struct SiteCounts {
  std::int64_t warps = 0;   ///< executions
  std::int64_t lanes = 0;   ///< that took part
  std::int64_t bytes = 0;   ///< different ones that were asked for
  std::int64_t units = 0;   ///< sectors, or wavefronts of shared memory
  std::int64_t needed = 0;  ///< units that would hold so many bytes
};

struct KernelCounts {
  std::int64_t launches = 0;
  std::int64_t blocks = 0;
  std::int64_t shared_bytes = 0;    ///< of a block, the last launch's
  std::int64_t products = 0;        ///< mma.sync of a warp
  std::int64_t block_sectors = 0;   ///< different ones that a block reads, over all blocks
  std::int64_t launch_sectors = 0;  ///< different ones that a launch reads or writes
  struct Site {
    const void* caller = nullptr;
    bool shared = false;
    bool write = false;
    auto operator<=>(const Site&) const = default;
  };
  std::map<Site, SiteCounts> sites;
};

/// Lanes are brought together again where they meet: the n-th execution of an access by a lane
/// since the last meeting belongs to the n-th of the others.
class AccessCounts final : public Observer {
 public:
  void launch_begins(const void* kernel, const cuda::LaunchShape& shape) override;
  void launch_ends() override;
  void block_begins(const unsigned char* shared) override;
  void block_ends() override;
  void block_met() override;
  void warp_met(int warp) override;
  void product() override;
  void matrix_row(int thread, std::size_t offset, const void* caller) override;
  void copy(int thread, std::size_t offset, const void* source, std::size_t bytes,
            const void* caller) override;

  /// Any access of a running kernel; what is neither shared nor the device's is left out.
  void access(int thread, const void* address, std::size_t bytes, bool write,
              const void* caller) override;

  const std::map<const void*, KernelCounts>& kernels() const { return kernels_; }

 private:
  struct Span {
    std::uintptr_t begin = 0;
    std::uintptr_t bytes = 0;  // 0: the lane takes no part
  };
  using Lanes = std::array<Span, kWarpLanes>;
  struct Execution {
    KernelCounts::Site site;
    std::int32_t number = 0;
    bool operator==(const Execution&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Execution& e) const;
  };
  struct Warp {
    std::unordered_map<Execution, Lanes, Hash> executions;
    std::array<std::map<KernelCounts::Site, std::int32_t>, kWarpLanes> numbers;
  };

  void note(int thread, const KernelCounts::Site& site, const Span& span);
  void count(const KernelCounts::Site& site, const Lanes& lanes);

  std::map<const void*, KernelCounts> kernels_;
  KernelCounts* kernel_ = nullptr;  // the running one's
  cuda::LaunchShape shape_;
  std::uintptr_t shared_ = 0;
  std::vector<Warp> warps_;
  std::unordered_set<std::uintptr_t> block_reads_;
  std::unordered_set<std::uintptr_t> launch_sectors_;
};

}  // namespace headspark::cuda_emulation
