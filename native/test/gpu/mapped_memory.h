// Host memory that a GPU reads and writes where it is. The op suite hands its arrays to kernels as
// they are, so in the program that tests a GPU all of the heap, and the stack that tests run on, is
// such memory.
#pragma once

#include <cstddef>

namespace headspark::test {

/// Page-locked and mapped: the GPU knows it by the same address. Ends the process with a sentence:
/// code 1 where there is no GPU, and code 3 where it failed.
void* allocate_mapped(std::size_t bytes);
void release_mapped(void* memory) noexcept;

}  // namespace headspark::test
