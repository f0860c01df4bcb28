// cp.async: 16 bytes from device to shared memory without passing through registers (PTX ISA
// section 9.7.9.25). A thread's copies form groups; other threads see them after a barrier.
#pragma once

#include "cuda/device/shared.h"

namespace headspark::cuda {

/// Copies 16 bytes, of which the last (16 - valid_bytes) become zero; `source` must be a valid
/// address, aligned to 16 bytes, even when valid_bytes is 0.
template <typename T>
HEADSPARK_DEVICE void copy_async(const SharedArray<T>& to, int index, const T* source,
                                 int valid_bytes) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to.address(index)),
               "l"(__cvta_generic_to_global(source)), "r"(valid_bytes)
               : "memory");
}
HEADSPARK_DEVICE void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Until at most `Left` of this thread's newest groups are under way.
template <int Left>
HEADSPARK_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Left) : "memory");
}

}  // namespace headspark::cuda
