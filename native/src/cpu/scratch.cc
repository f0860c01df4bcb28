// Thread-local growing arrays.
#include "cpu/scratch.h"

#include <cstdlib>
#include <string>

#include "headspark/error.h"

namespace headspark {
namespace {

struct Slots {
  float* data[static_cast<int>(ScratchSlot::count)] = {};
  std::int64_t size[static_cast<int>(ScratchSlot::count)] = {};

  ~Slots() {
    for (float* slot : data) std::free(slot);
  }
};

}  // namespace

float* scratch(ScratchSlot slot, std::int64_t count) {
  static thread_local Slots slots;
  const int index = static_cast<int>(slot);
  if (slots.size[index] >= count && slots.data[index] != nullptr) return slots.data[index];
  const std::int64_t rounded = (count + 1023) / 1024 * 1024 + 1024;
  std::free(slots.data[index]);
  slots.size[index] = 0;
  slots.data[index] = static_cast<float*>(
      std::aligned_alloc(64, static_cast<std::size_t>(rounded) * sizeof(float)));
  if (slots.data[index] == nullptr) {
    throw Error(ErrorCode::OUT_OF_MEMORY, "Could not allocate " + std::to_string(rounded * 4) +
                                              " bytes of workspace; use a smaller batch.");
  }
  slots.size[index] = rounded;
  return slots.data[index];
}

}  // namespace headspark
