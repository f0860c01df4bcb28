// Kernels as nvcc made them: their PTX, translated to C++ (scripts/checks/ptx), by the name that
// the host's compiler gives them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace headspark::cuda_emulation::ptx {

struct Kernel {
  std::string name;
  std::size_t parameter_bytes = 0;
  void (*thread)(std::uint64_t parameters) = nullptr;  ///< one thread of a grid; an address
};

/// Adds kernels to those that can be launched; one for each file of them.
struct Registration {
  explicit Registration(std::vector<Kernel> kernels);
};

/// What nvcc made of the kernel at `address`, a function of this program that is never called;
/// Error(INTERNAL) where there is none, or it takes other parameters.
const Kernel& kernel_at(const void* address, std::size_t parameter_bytes);

}  // namespace headspark::cuda_emulation::ptx
