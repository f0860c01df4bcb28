// What tests may set and see of the emulated device's memory.
#pragma once

#include <cstdint>

#include "cuda/runtime.h"

namespace headspark::cuda {

/// The device's size; 4 GiB unless set.
void set_emulated_memory(std::int64_t bytes);
std::int64_t emulated_bytes_in_use();

}  // namespace headspark::cuda
