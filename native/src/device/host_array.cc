// The memory of HostArray.
#include "headspark/host_array.h"

#include <limits>

#include "device/host_memory.h"
#include "headspark/error.h"

namespace headspark {

void ReleaseHostMemory::operator()(void* memory) const noexcept {
  release_host(memory);
}

HostMemory make_host_memory(std::int64_t count, std::int64_t size, const std::string& what) {
  if (count == 0) return nullptr;
  const bool countable = count > 0 && count <= std::numeric_limits<std::int64_t>::max() / size;
  HostMemory memory(countable ? try_allocate_host(count * size) : nullptr);
  if (memory == nullptr) {
    throw Error(ErrorCode::OUT_OF_MEMORY,
                "Could not allocate " + what + " (" + std::to_string(count) + " values of " +
                    std::to_string(size) + " bytes); ask for less at once or free memory.");
  }
  return memory;
}

}  // namespace headspark
