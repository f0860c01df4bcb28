// Sizes of memory in messages.
#pragma once

#include <cstdint>
#include <string>

namespace headspark {

/// "5 KiB", "12 MiB" or "23.4 GiB", rounded up.
std::string memory_text(std::int64_t bytes);

}  // namespace headspark
