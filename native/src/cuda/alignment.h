// Whether wide accesses may be made at an address.
#pragma once

#include <cstdint>

namespace headspark::cuda {

/// Null is aligned to everything.
inline bool aligned_to(std::int64_t bytes, const void* p) {
  return reinterpret_cast<std::uintptr_t>(p) % static_cast<std::uintptr_t>(bytes) == 0;
}

}  // namespace headspark::cuda
