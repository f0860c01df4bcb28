#include "device/memory_text.h"

namespace headspark {

std::string memory_text(std::int64_t bytes) {
  constexpr std::int64_t kMebibyte = 1 << 20;
  if (bytes > 0 && bytes < kMebibyte) return std::to_string((bytes + 1023) / 1024) + " KiB";
  const std::int64_t mebibytes = (bytes + kMebibyte - 1) / kMebibyte;
  if (mebibytes < 10240) return std::to_string(mebibytes) + " MiB";
  const std::int64_t tenths = (mebibytes * 10 + 1023) / 1024;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " GiB";
}

}  // namespace headspark
