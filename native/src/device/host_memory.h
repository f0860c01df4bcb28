// Large arrays of the CPU: cache-line aligned, on huge pages where the system gives them (a first
// touch then costs one page fault per 2 MiB instead of 512).
#pragma once

#include <cstdint>
#include <memory>

namespace headspark {

inline constexpr std::int64_t kHugePage = std::int64_t{2} << 20;
/// Smaller arrays would leave most of a huge page unused, and the C library keeps them when they
/// are released.
inline constexpr std::int64_t kHugeFrom = 2 * kHugePage;

/// Uninitialised. Null when there is no memory.
void* try_allocate_host(std::int64_t bytes) noexcept;
void release_host(void* memory) noexcept;

/// Uninitialised and owned. Error(OUT_OF_MEMORY).
std::shared_ptr<void> allocate_host_memory(std::int64_t bytes);

}  // namespace headspark
